#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ops/adamw.h"
#include "ops/gradient_norm.h"

namespace stablelm {
namespace {

// Elements that are updated and rounded while they are in the cache.
constexpr size_t kBlock = 8192;
static_assert(kNormChunk % kBlock == 0 && kBlock % kParameterAlignment == 0);

}  // namespace

double ClipFactor(double norm, double clip) {
  if (clip <= 0) return 1;
  // As DeepSpeed and PyTorch: the norm is raised by 1e-6.
  return 1 / std::max(1.0, (norm + 1e-6) / clip);
}

Optimizer::Optimizer(Parameters& parameters, const OptimizerOptions& options)
    : parameters_(parameters),
      options_(options),
      chunk_sums_((parameters.table().trained_size() + kNormChunk - 1) / kNormChunk) {}

double Optimizer::GradientNorm(ExecutionContext& exec) {
  const std::span<const float> gradients = parameters_.gradients();
  SumsOfSquares(gradients.data(), gradients.size(), chunk_sums_, exec);
  return std::sqrt(AddChunks(chunk_sums_));
}

void Optimizer::Apply(const Update& update, size_t begin, size_t end, ExecutionContext& exec) {
  STABLELM_CHECK(begin % kNormChunk == 0 && (end % kNormChunk == 0 || end == parameters_.table().trained_size()));
  const size_t chunks = (end - begin + kNormChunk - 1) / kNormChunk;
  exec.pool().ForSteps(chunks, 1, [&](size_t first, size_t last, size_t) {
    for (size_t at = begin + first * kNormChunk; at < std::min(end, begin + last * kNormChunk); at += kBlock) {
      ApplyBlock(update, at, std::min(end, at + kBlock));
    }
  });
}

void Optimizer::ApplyBlock(const Update& update, size_t begin, size_t end) {
  AdamWStep step = {.rate = update.rate,
                    .beta1 = options_.beta1,
                    .beta2 = options_.beta2,
                    .epsilon = options_.epsilon,
                    .t = update.t,
                    .gradient_scale = update.gradient_scale};
  for (const Parameter& p : parameters_.table().entries()) {
    if (!p.trained || p.offset + p.size <= begin || p.offset >= end) continue;
    const size_t from = std::max(begin, p.offset), to = std::min(end, p.offset + p.size);
    step.decay = p.decay ? options_.weight_decay : 0;
    AdamW(step, to - from, parameters_.gradients().data() + from, parameters_.masters().data() + from,
          parameters_.first_moments().data() + from, parameters_.second_moments().data() + from);
  }
  parameters_.RoundWeights(begin, end);
}

}  // namespace stablelm
