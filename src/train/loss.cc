#include "train/loss.h"

#include <algorithm>

#include "base/error.h"
#include "ops/cross_entropy.h"
#include "ops/gather_rows.h"
#include "ops/layer_norm_backward.h"
#include "train/backward_steps.h"

namespace stablelm {
namespace {

int64_t ChunkRows(const TrainShape& shape) { return std::min(kLossRows, shape.max_tokens); }
size_t Count(const TrainShape& shape, int64_t width) { return static_cast<size_t>(ChunkRows(shape) * width); }

}  // namespace

LossPass::LossPass(const ModelConfig& c, const TrainShape& shape)
    : max_rows_(ChunkRows(shape)),
      width_(c.hidden_size),
      vocab_size_(c.vocab_size),
      rows_(Count(shape, c.hidden_size), "rows for logits"),
      normed_(Count(shape, c.hidden_size), "normed rows for logits"),
      d_rows_(Count(shape, c.hidden_size), "gradient of rows for logits"),
      d_normed_(Count(shape, c.hidden_size), "gradient of normed rows for logits"),
      logits_(Count(shape, c.vocab_size), "logits") {
  const size_t tokens = static_cast<size_t>(shape.max_tokens);
  row_indices_.reserve(tokens);
  targets_.reserve(tokens);
  losses_.reserve(tokens);
}

uint64_t LossPass::LogitBytes(const ModelConfig& c, const TrainShape& shape) {
  return sizeof(float) * Count(shape, c.vocab_size);
}

uint64_t LossPass::RowBytes(const ModelConfig& c, const TrainShape& shape) {
  return sizeof(float) * 4 * Count(shape, c.hidden_size) +
         static_cast<uint64_t>(shape.max_tokens) * (sizeof(int64_t) + sizeof(int32_t) + sizeof(double));
}

std::span<const double> LossPass::Run(const ModelWeights& weights, const LossInput& in, ExecutionContext& exec) {
  row_indices_.clear();
  targets_.clear();
  int64_t row = 0;
  for (const TrainDocument& document : in.batch) {
    for (const int32_t target : document.targets) {
      if (target != kNoTarget) {
        row_indices_.push_back(row);
        targets_.push_back(target);
      }
      ++row;
    }
  }
  losses_.resize(targets_.size());
  const size_t width = static_cast<size_t>(width_);
  if (in.d_x) {
    exec.pool().ForRanges(static_cast<size_t>(row) * width, 4096,
                          [&](size_t begin, size_t end) { std::fill(in.d_x + begin, in.d_x + end, 0.0f); });
  }
  const int64_t all = static_cast<int64_t>(targets_.size());
  bool add = in.add;
  for (int64_t first = 0; first < all; first += max_rows_) {
    const int64_t rows = std::min(max_rows_, all - first);
    const std::span<const int64_t> indices =
        std::span(row_indices_).subspan(static_cast<size_t>(first), static_cast<size_t>(rows));
    GatherRows(in.x, width, indices, rows_.data(), exec);
    const ProductRows operand = {
        .x = rows_.data(), .rows = rows, .prologue = weights.final_norm, .applied = normed_.data()};
    weights.output.Apply(operand, logits_.data(), exec);  // logits = ln(x) W_outᵀ
    const CrossEntropyInput loss = {.logits = logits_.data(),
                                    .targets = targets_.data() + first,
                                    .rows = rows,
                                    .vocab_size = vocab_size_,
                                    .scale = in.scale,
                                    .losses = losses_.data() + first};
    if (!in.d_x) {
      CrossEntropyLosses(loss, exec);
      continue;
    }
    CrossEntropy(loss, exec);
    if (in.observer) in.observer->OnGradient(-1, "embed_out", logits_.data(), rows, vocab_size_);
    LinearBackward({.dy = logits_.data(),
                    .x = operand,
                    .linear = &weights.output,
                    .gradients = {.weight = in.output},
                    .d_rows = d_normed_.data(),
                    .add = add,
                    .precision = in.precision},
                   exec);
    LayerNormBackward({.x = rows_.data(),
                       .dy = d_normed_.data(),
                       .rows = static_cast<size_t>(rows),
                       .width = width,
                       .norm = weights.final_norm,
                       .dx = d_rows_.data(),
                       .d_weight = in.final_norm.weight,
                       .d_bias = in.final_norm.bias,
                       .add = add},
                      exec);
    if (in.observer) in.observer->OnGradient(-1, "final_layer_norm", d_rows_.data(), rows, width_);
    ScatterRows(d_rows_.data(), width, indices, in.d_x, exec);
    add = true;
  }
  return losses_;
}

}  // namespace stablelm
