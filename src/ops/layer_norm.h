// Layer normalisation over the last dimension: y = (x - mean) / sqrt(variance + eps) * weight + bias, biased variance,
// centred before it is squared (torch.nn.LayerNorm).
#pragma once

#include <cstddef>

#include "ops/execution_context.h"

namespace stablelm {

struct LayerNormWeights {
  const float* weight = nullptr;  // [width]
  const float* bias = nullptr;    // [width]
  double eps = 0;
};

struct LayerNormInput {
  const float* x = nullptr;  // [rows, width]
  size_t rows = 0;
  size_t width = 0;  // C >= 1
  LayerNormWeights norm;
  float* y = nullptr;  // [rows, width]; may be x
};

// The bits of a row depend on that row alone.
void LayerNorm(const LayerNormInput& in, ExecutionContext& exec);
// One row [width], on the calling thread; y may be x.
void LayerNormRow(const float* x, size_t width, const LayerNormWeights& norm, float* y);
void LayerNormRef(const LayerNormInput& in);  // fp64 inside

}  // namespace stablelm
