#include "model/block.h"

#include "base/error.h"
#include "ops/add.h"
#include "ops/gelu.h"
#include "ops/row_step.h"

namespace stablelm {
namespace {

void Observe(const BlockInput& in, const char* module, const AlignedBuffer<float>& y, int64_t width) {
  if (in.observer) in.observer->OnStep(in.layer, module, y.data(), in.rows, width);
}

// y = linear(step(x)). An observer sees step(x) as `module`; nobody else needs it written. `between` is room for it and
// may be x.
void ApplyAfter(const RowStep& step, const char* module, const AlignedBuffer<float>& x, AlignedBuffer<float>& between,
                const Linear& linear, AlignedBuffer<float>& y, const BlockInput& in, ForwardContext& ctx) {
  if (!in.observer) {
    return linear.ApplyAfter(step, x.data(), between.data(), in.rows, y.data(), ctx.pool, ctx.workspace);
  }
  const size_t width = linear.weight().columns();
  RunStep(step, x.data(), static_cast<size_t>(in.rows), width, between.data(), ctx.pool);
  Observe(in, module, between, static_cast<int64_t>(width));
  linear.Apply(between.data(), in.rows, y.data(), ctx.pool, ctx.workspace);
}

// ctx.x [T, C] -> ctx.attn_out [T, C]
void Attention(const BlockWeights& w, const BlockInput& in, ForwardContext& ctx) {
  ApplyAfter(w.attn_norm, "input_layernorm", ctx.x, ctx.normed, w.qkv, ctx.qkv, in, ctx);
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
                 .hint = "run with `cache=fp32`"});
  }
  Attend(attention, ctx.pool, ctx.workspace);
  Observe(in, "attention", ctx.attended, in.config.hidden_size);
  w.attn_out.Apply(ctx.attended.data(), in.rows, ctx.attn_out.data(), ctx.pool, ctx.workspace);
  Observe(in, "attention.dense", ctx.attn_out, in.config.hidden_size);
}

// ctx.x [T, C] -> ctx.mlp_out [T, C]
void Mlp(const BlockWeights& w, const BlockInput& in, ForwardContext& ctx) {
  ApplyAfter(w.mlp_norm, "post_attention_layernorm", ctx.x, ctx.normed, w.mlp_up, ctx.mlp_up, in, ctx);
  Observe(in, "mlp.dense_h_to_4h", ctx.mlp_up, in.config.intermediate_size);
  const GeluForm gelu = in.config.activation == Activation::kGeluErf ? GeluForm::kErf : GeluForm::kTanh;
  ApplyAfter(gelu, "mlp.act", ctx.mlp_up, ctx.mlp_up, w.mlp_down, ctx.mlp_out, in, ctx);
  Observe(in, "mlp.dense_4h_to_h", ctx.mlp_out, in.config.hidden_size);
}

}  // namespace

void RunBlock(const BlockWeights& w, const BlockInput& in, ForwardContext& ctx) {
  const size_t n = static_cast<size_t>(in.rows * in.config.hidden_size);
  Attention(w, in, ctx);
  if (!in.config.parallel_residual) AddInPlace(ctx.attn_out.data(), ctx.x.data(), n, ctx.pool);
  Mlp(w, in, ctx);  // of x before the attention when parallel, after it when sequential
  if (in.config.parallel_residual) {
    AddPairInPlace(ctx.mlp_out.data(), ctx.attn_out.data(), ctx.x.data(), n, ctx.pool);
  } else {
    AddInPlace(ctx.mlp_out.data(), ctx.x.data(), n, ctx.pool);
  }
  Observe(in, "output", ctx.x, in.config.hidden_size);
}

}  // namespace stablelm
