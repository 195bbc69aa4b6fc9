// Backward pass of the layer norm (ops/layer_norm.h), from its input. With g = dy * weight, x^ = (x - mean) * r and
// r = 1 / sqrt(variance + eps):
//   dx = r (g - mean(g) - x^ mean(g x^));  d_weight = sum over rows of dy x^;  d_bias = sum over rows of dy
#pragma once

#include <cstddef>

#include "ops/execution_context.h"
#include "ops/layer_norm.h"

namespace stablelm {

// Few rows, so that short batches have work for many threads: a thread takes whole pieces.
inline constexpr size_t kNormSumPiece = 32;

struct LayerNormBackwardInput {
  const float* x = nullptr;   // [rows, width], input of the forward pass
  const float* dy = nullptr;  // [rows, width]
  size_t rows = 0;
  size_t width = 0;
  LayerNormWeights norm;
  const float* residual = nullptr;  // [rows, width] or null: added to the gradient of x
  float* dx = nullptr;              // [rows, width]; may be residual or dy
  float* d_weight = nullptr;        // [width], or null: not wanted
  float* d_bias = nullptr;          // the same
  bool add = false;                 // d_weight += and d_bias +=
};

// The bits of a row of dx depend on that row alone. Sums over rows run in pieces of kNormSumPiece rows: in
// each, a column is one chain from zero in ascending order; the pieces are added in order, after the earlier value when
// there is one.
void LayerNormBackward(const LayerNormBackwardInput& in, ExecutionContext& exec);
// ExecutionContext::prepared_rows that it needs.
size_t LayerNormBackwardFloats(size_t rows, size_t width);

}  // namespace stablelm
