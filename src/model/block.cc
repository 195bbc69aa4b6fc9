#include "model/block.h"

#include "base/error.h"
#include "ops/add.h"
#include "ops/gelu.h"
#include "ops/layer_norm.h"

namespace stablelm {
namespace {

void Observe(const BlockInput& in, const char* module, const AlignedBuffer<float>& y, int64_t width) {
  if (in.observer) in.observer->OnStep(in.layer, module, y.data(), in.rows, width);
}

void Norm(const NormWeights& w, const BlockInput& in, ForwardContext& ctx) {
  LayerNorm({.x = ctx.x.data(),
             .rows = static_cast<size_t>(in.rows),
             .width = static_cast<size_t>(in.config.hidden_size),
             .weight = w.weight,
             .bias = w.bias,
             .eps = in.config.layer_norm_eps,
             .y = ctx.normed.data()},
            ctx.pool);
}

// ctx.normed [T, C] -> ctx.attn_out [T, C]
void Attention(const BlockWeights& w, const BlockInput& in, ForwardContext& ctx) {
  w.qkv.Apply(ctx.normed.data(), in.rows, ctx.qkv.data(), ctx.pool, ctx.workspace);
  Observe(in, "attention.query_key_value", ctx.qkv, 3 * in.config.hidden_size);
  const AttentionInput attention = {.qkv = ctx.qkv.data(),
                                    .qkv_layout = w.qkv_layout,
                                    .out = ctx.attended.data(),
                                    .sequences = in.sequences,
                                    .layer_pages = in.cache.LayerPages(in.layer),
                                    .page_stride = in.cache.page_stride(),
                                    .layout = in.cache.layout(),
                                    .rotary = &in.rotary};
  if (!StoreKeysValues(attention, ctx.pool)) {
    throw Error({.where = "layer " + std::to_string(in.layer),
                 .what = "a key or value is too large for an fp16 cache (beyond 65504)",
                 .found = {},
                 .expected = {},
                 .hint = "run with `cache=fp32`"});
  }
  Attend(attention, ctx.pool, ctx.workspace);
  Observe(in, "attention", ctx.attended, in.config.hidden_size);
  w.attn_out.Apply(ctx.attended.data(), in.rows, ctx.attn_out.data(), ctx.pool, ctx.workspace);
  Observe(in, "attention.dense", ctx.attn_out, in.config.hidden_size);
}

// ctx.normed [T, C] -> ctx.mlp_out [T, C]
void Mlp(const BlockWeights& w, const BlockInput& in, ForwardContext& ctx) {
  w.mlp_up.Apply(ctx.normed.data(), in.rows, ctx.mlp_up.data(), ctx.pool, ctx.workspace);
  Observe(in, "mlp.dense_h_to_4h", ctx.mlp_up, in.config.intermediate_size);
  Gelu(in.config.activation == Activation::kGeluErf ? GeluForm::kErf : GeluForm::kTanh, ctx.mlp_up.data(),
       static_cast<size_t>(in.rows * in.config.intermediate_size), ctx.pool);
  Observe(in, "mlp.act", ctx.mlp_up, in.config.intermediate_size);
  w.mlp_down.Apply(ctx.mlp_up.data(), in.rows, ctx.mlp_out.data(), ctx.pool, ctx.workspace);
  Observe(in, "mlp.dense_4h_to_h", ctx.mlp_out, in.config.hidden_size);
}

}  // namespace

void RunBlock(const BlockWeights& w, const BlockInput& in, ForwardContext& ctx) {
  const size_t n = static_cast<size_t>(in.rows * in.config.hidden_size);
  Norm(w.attn_norm, in, ctx);
  Observe(in, "input_layernorm", ctx.normed, in.config.hidden_size);
  Attention(w, in, ctx);
  if (!in.config.parallel_residual) AddInPlace(ctx.attn_out.data(), ctx.x.data(), n, ctx.pool);
  Norm(w.mlp_norm, in, ctx);  // of x before the attention when parallel, after it when sequential
  Observe(in, "post_attention_layernorm", ctx.normed, in.config.hidden_size);
  Mlp(w, in, ctx);
  if (in.config.parallel_residual) {
    AddPairInPlace(ctx.mlp_out.data(), ctx.attn_out.data(), ctx.x.data(), n, ctx.pool);
  } else {
    AddInPlace(ctx.mlp_out.data(), ctx.x.data(), n, ctx.pool);
  }
  Observe(in, "output", ctx.x, in.config.hidden_size);
}

}  // namespace stablelm
