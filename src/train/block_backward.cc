#include "train/block_backward.h"

#include "train/backward_steps.h"

namespace stablelm {

// The gradient of the residual stream runs past both branches: each adds to it.
// Parallel residual:    y = x + attn(ln1(x)) + mlp(ln2(x))
// Sequential residual:  middle = x + attn(ln1(x));  y = middle + mlp(ln2(middle))
void BlockBackward(const BlockWeights& w, const BlockBackwardInput& in, ExecutionContext& exec) {
  const BlockActivations& a = in.activations;
  const BackwardBuffers& d = in.buffers;
  const BlockGradients& g = in.gradients;
  const bool parallel = in.config.parallel_residual;
  const BackwardSteps back(in, exec);

  // What is needed: the gradient of a step's input, when something that made it is trained.
  const bool into_qkv = in.propagates || g.attn_norm.any();
  const bool into_attention = into_qkv || g.qkv.any();
  const bool attn_branch = into_attention || g.attn_out.any();
  const bool into_mlp = in.propagates || g.mlp_norm.any() || (!parallel && attn_branch);
  const bool into_hidden = into_mlp || g.mlp_up.any();

  // y = [middle or x] + mlp_out
  const float* const mlp_in = parallel ? a.x : a.middle;
  // mlp_out = gelu(mlp_hidden) W_downᵀ + b
  back.Product(in.d_y, back.Gelu(a.mlp_hidden), w.mlp_down, g.mlp_down, into_hidden ? d.d_hidden : nullptr,
               "mlp.dense_4h_to_h");
  if (into_hidden) {
    back.GeluBackward(a.mlp_hidden, d.d_hidden);
    // mlp_hidden = ln2(mlp_in) W_upᵀ + b
    back.Product(d.d_hidden, back.Norm(w.mlp_norm, mlp_in), w.mlp_up, g.mlp_up, into_mlp ? d.d_normed : nullptr,
                 "mlp.dense_h_to_4h");
  }
  if (into_mlp) {
    back.NormBackward(w.mlp_norm, mlp_in, d.d_normed, in.d_y, in.d_x, g.mlp_norm, "post_attention_layernorm");
  }

  // [y or middle] = x + attn_out
  const float* const d_attn_out = parallel ? in.d_y : in.d_x;
  // attn_out = attended W_outᵀ + b
  if (attn_branch) {
    back.Product(d_attn_out, back.Rows(a.attended), w.attn_out, g.attn_out, into_attention ? d.d_attended : nullptr,
                 "attention.dense");
  }
  if (!into_attention) return;
  // attended = attention(qkv)
  back.Attention(w.qkv_layout, d.d_attended, d.d_qkv);
  // qkv = ln1(x) W_qkvᵀ + b
  back.Product(d.d_qkv, back.Norm(w.attn_norm, a.x), w.qkv, g.qkv, into_qkv ? d.d_normed : nullptr,
               "attention.query_key_value");
  if (!into_qkv) return;
  back.NormBackward(w.attn_norm, a.x, d.d_normed, in.d_x, in.d_x, g.attn_norm, "input_layernorm");
}

}  // namespace stablelm
