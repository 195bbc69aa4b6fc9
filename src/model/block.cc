#include "model/block.h"

#include "model/block_steps.h"

namespace stablelm {

// Parallel residual:    y = x + attn(ln1(x)) + mlp(ln2(x))
// Sequential residual:  middle = x + attn(ln1(x));  y = middle + mlp(ln2(middle))
void RunBlock(const BlockWeights& w, const BlockInput& in, ExecutionContext& exec) {
  const BlockActivations& a = in.activations;
  const bool parallel = in.config.parallel_residual;
  const BlockSteps run(in, exec);

  run.Product(run.AttnNorm(w.attn_norm, a.x), w.qkv, a.qkv, "attention.query_key_value");  // [T, 3C]
  run.Attention(w.qkv_layout, a.qkv, a.attended, a.log_sum_exp);                           // [T, C]
  run.Product(run.Rows(a.attended), w.attn_out, a.attn_out, "attention.dense");            // [T, C]
  if (!parallel) run.Add(a.attn_out, a.x, a.middle);
  const float* const mlp_in = parallel ? a.x : a.middle;
  run.Product(run.MlpNorm(w.mlp_norm, mlp_in), w.mlp_up, a.mlp_hidden, "mlp.dense_h_to_4h");  // [T, F]
  run.Product(run.Gelu(a.mlp_hidden), w.mlp_down, a.mlp_out, "mlp.dense_4h_to_h");            // [T, C]
  parallel ? run.AddPair(a.mlp_out, a.attn_out, a.x, a.y) : run.Add(a.mlp_out, a.middle, a.y);
}

}  // namespace stablelm
