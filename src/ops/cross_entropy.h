// Cross-entropy of rows of logits and its gradient, in place.
//
// With p = softmax(z) of a row and its target t: loss = -ln p_t, dz = scale (p - 1_t). The loss has the bits of the
// negated log-probability that scoring reports: LogSumExp(z) - z_t (ops/scores/softmax.h).
#pragma once

#include <cstdint>

#include "ops/execution_context.h"

namespace stablelm {

struct CrossEntropyInput {
  float* logits = nullptr;           // [rows, V]; replaced by their gradient
  const int32_t* targets = nullptr;  // [rows], each in [0, V)
  int64_t rows = 0;
  int64_t vocab_size = 0;    // V
  double scale = 1;          // of the gradient: 1 / number of loss tokens of the step, times the loss scale
  double* losses = nullptr;  // [rows]
};
// The bits of a row depend on that row alone. A logit that is not finite makes the loss and the gradient of its row
// NaN.
void CrossEntropy(const CrossEntropyInput& in, ExecutionContext& exec);
// The losses alone; logits unchanged.
void CrossEntropyLosses(const CrossEntropyInput& in, ExecutionContext& exec);

}  // namespace stablelm
