#include "train/backward_steps.h"

#include "base/error.h"
#include "ops/add.h"
#include "ops/attention_backward.h"
#include "ops/column_sums.h"
#include "ops/gelu_backward.h"
#include "ops/layer_norm_backward.h"
#include "ops/matmul.h"
#include "ops/matmul_backward.h"

namespace stablelm {

namespace {

size_t LowRankSize(const LinearBackwardInput& in, const Adapter& adapter) {
  return static_cast<size_t>(in.x.rows * adapter.rank());
}

// low_rank = dz = s dy B
void LowRankGradient(const LinearBackwardInput& in, const Adapter& adapter, ExecutionContext& exec) {
  MatMulInputGradient({.dy = in.dy, .m = in.x.rows, .w = &adapter.b, .dx = in.low_rank}, exec);
  Scale(adapter.scale, in.low_rank, in.low_rank, LowRankSize(in, adapter), exec);
}

// dA and dB. Leaves dz in low_rank.
void AdapterGradients(const LinearBackwardInput& in, ExecutionContext& exec) {
  const StepTimer::Span span(in.timer, StepPart::kWeightGradients);
  const Adapter& adapter = in.linear->adapters().front();
  ProductRows u = in.x;
  if (in.dropout) {
    const float* rows = in.x.x;
    if (u.has_prologue()) {
      u.applied = in.dropout->buffer;
      ApplyPrologue(u, adapter.a.columns(), exec);
      rows = in.dropout->buffer;
    }
    in.dropout->Apply(adapter, rows, in.x.rows, in.dropout->buffer, false, exec);
    u = {.x = in.dropout->buffer, .rows = in.x.rows};
  }
  MatMul({.x = u.x, .m = u.rows, .w = &adapter.a, .y = in.low_rank, .prologue = u.prologue, .applied = u.applied},
         exec);
  Scale(adapter.scale, in.low_rank, in.low_rank, LowRankSize(in, adapter), exec);
  MatMulWeightGradient({.dy = in.dy,
                        .x = {.x = in.low_rank, .rows = in.x.rows},
                        .n = in.linear->rows(),
                        .k = adapter.rank(),
                        .dw = in.gradients.lora_b,
                        .add = in.add},
                       exec);
  LowRankGradient(in, adapter, exec);
  MatMulWeightGradient({.dy = in.low_rank,
                        .x = u,
                        .n = adapter.rank(),
                        .k = in.linear->columns(),
                        .dw = in.gradients.lora_a,
                        .add = in.add},
                       exec);
}

// d_rows += dropout(dz A), from dz in low_rank.
void AdapterInputGradient(const LinearBackwardInput& in, const Adapter& adapter, ExecutionContext& exec) {
  float* const to = in.dropout ? in.dropout->buffer : in.d_rows;
  MatMulInputGradient({.dy = in.low_rank, .m = in.x.rows, .w = &adapter.a, .dx = to, .add = !in.dropout}, exec);
  if (in.dropout) in.dropout->Apply(adapter, to, in.x.rows, in.d_rows, true, exec);
}

}  // namespace

void LinearBackward(const LinearBackwardInput& in, ExecutionContext& exec) {
  STABLELM_CHECK(in.linear->adapters().size() == (in.gradients.lora_a ? 1 : 0));
  const PackedMatrix& w = in.linear->weight();
  if (in.gradients.weight) {
    const StepTimer::Span span(in.timer, StepPart::kWeightGradients);
    MatMulWeightGradient({.dy = in.dy,
                          .x = in.x,
                          .n = in.linear->rows(),
                          .k = in.linear->columns(),
                          .dw = in.gradients.weight,
                          .add = in.add,
                          .rows_as = RowsAs(in.precision),
                          .compute = ComputeOf(in.precision)},
                         exec);
  }
  if (in.gradients.bias) {
    const StepTimer::Span span(in.timer, StepPart::kWeightGradients);
    ColumnSums({.x = in.dy,
                .rows = static_cast<size_t>(in.x.rows),
                .width = w.rows(),
                .sums = in.gradients.bias,
                .add = in.add},
               exec);
  }
  // Before d_rows, which may be the buffer of the prologue.
  if (in.gradients.lora_a) AdapterGradients(in, exec);
  if (!in.d_rows) return;
  const StepTimer::Span span(in.timer, StepPart::kInputGradients);
  MatMulInputGradient({.dy = in.dy, .m = in.x.rows, .w = &w, .dx = in.d_rows, .rows_as = RowsAs(in.precision)}, exec);
  if (in.gradients.lora_a) AdapterInputGradient(in, in.linear->adapters().front(), exec);
}

ProductRows BackwardSteps::Norm(const LayerNormWeights& norm, const float* x) const {
  return {.x = x, .rows = in_.rows, .prologue = norm, .applied = in_.activations.normed};
}

ProductRows BackwardSteps::Gelu(const float* hidden) const {
  return {.x = hidden, .rows = in_.rows, .prologue = Form(), .applied = in_.activations.activated};
}

void BackwardSteps::Product(const float* dy, const ProductRows& operand, const Linear& linear,
                            const LinearGradients& gradients, float* d_operand, const char* module) const {
  LinearBackward({.dy = dy,
                  .x = operand,
                  .linear = &linear,
                  .gradients = gradients,
                  .d_rows = d_operand,
                  .add = in_.add,
                  .precision = in_.precision,
                  .timer = in_.timer,
                  .low_rank = in_.buffers.low_rank,
                  .dropout = in_.dropout},
                 exec_);
  if (d_operand) Show(module, d_operand, linear.columns());
}

void BackwardSteps::GeluBackward(const float* hidden, float* d_hidden) const {
  const size_t n = static_cast<size_t>(in_.rows * in_.config.intermediate_size);
  stablelm::GeluBackward(Form(), hidden, d_hidden, n, d_hidden, exec_);
  Show("mlp.act", d_hidden, in_.config.intermediate_size);
}

void BackwardSteps::NormBackward(const LayerNormWeights& norm, const float* x, const float* dy, const float* residual,
                                 float* dx, const NormGradients& gradients, const char* module) const {
  LayerNormBackward({.x = x,
                     .dy = dy,
                     .rows = static_cast<size_t>(in_.rows),
                     .width = static_cast<size_t>(in_.config.hidden_size),
                     .norm = norm,
                     .residual = residual,
                     .dx = dx,
                     .d_weight = gradients.weight,
                     .d_bias = gradients.bias,
                     .add = in_.add},
                    exec_);
  Show(module, dx, in_.config.hidden_size);
}

void BackwardSteps::Attention(const QkvLayout& layout, const float* d_attended, float* d_qkv) const {
  const StepTimer::Span span(in_.timer, StepPart::kAttentionBackward);
  AttentionBackward({.qkv = in_.activations.qkv,
                     .qkv_layout = layout,
                     .out = in_.activations.attended,
                     .log_sum_exp = in_.activations.log_sum_exp,
                     .d_out = d_attended,
                     .d_qkv = d_qkv,
                     .n_heads = in_.config.n_heads,
                     .head_dim = in_.config.head_dim(),
                     .sequences = in_.sequences,
                     .rotary = &in_.rotary},
                    exec_);
  Show("attention", d_qkv, 3 * in_.config.hidden_size);
}

void BackwardSteps::Show(const char* module, const float* d, int64_t width) const {
  if (in_.observer) in_.observer->OnGradient(in_.layer, module, d, in_.rows, width);
}

}  // namespace stablelm
