#include "model/block_steps.h"

#include "base/error.h"
#include "ops/add.h"

namespace stablelm {

BlockSteps::Operand BlockSteps::Norm(const LayerNormWeights& norm, const float* x, const char* module) const {
  return {.rows = {.x = x, .rows = in_.rows, .prologue = norm, .applied = in_.activations.normed}, .module = module};
}

BlockSteps::Operand BlockSteps::Gelu(const float* hidden) const {
  const GeluForm form = in_.config.activation == Activation::kGeluErf ? GeluForm::kErf : GeluForm::kTanh;
  return {.rows = {.x = hidden, .rows = in_.rows, .prologue = form, .applied = in_.activations.activated},
          .module = "mlp.act"};
}

void BlockSteps::Product(const Operand& operand, const Linear& linear, float* y, const char* module) const {
  ProductRows rows = operand.rows;
  if (in_.observer && rows.has_prologue()) {
    ApplyPrologue(rows, static_cast<size_t>(linear.columns()), exec_);
    rows = {.x = rows.applied, .rows = rows.rows};
    Show(operand.module, rows.x, linear.columns());
  }
  linear.Apply(rows, y, exec_, in_.dropout);
  Show(module, y, linear.rows());
}

void BlockSteps::Attention(const QkvLayout& layout, float* qkv, float* attended, float* log_sum_exp) const {
  const AttentionInput attention = {.qkv = qkv,
                                    .qkv_layout = layout,
                                    .out = attended,
                                    .log_sum_exp = log_sum_exp,
                                    .sequences = in_.sequences,
                                    .cache = in_.cache,
                                    .rotary = &in_.rotary};
  if (!StoreKeysValues(attention, exec_)) {
    throw Error({.where = "layer " + std::to_string(in_.layer),
                 .what = "a key or value is too large for an fp16 cache (beyond 65504)",
                 .hint = "run with `cache=fp32`"});
  }
  Attend(attention, exec_);
  Show("attention", attended, in_.config.hidden_size);
}

void BlockSteps::Add(const float* a, const float* x, float* y) const { stablelm::Add(a, x, y, ResidualSize(), exec_); }

void BlockSteps::AddPair(const float* m, const float* a, const float* x, float* y) const {
  stablelm::AddPair(m, a, x, y, ResidualSize(), exec_);
}

void BlockSteps::Show(const char* module, const float* y, int64_t width) const {
  if (in_.observer) in_.observer->OnStep(in_.layer, module, y, in_.rows, width);
}

}  // namespace stablelm
