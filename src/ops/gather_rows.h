// Copies rows of a matrix into one contiguous matrix: from the last activations, the rows whose logits are wanted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/execution_context.h"

namespace stablelm {

struct RowRange {
  int64_t begin = 0, end = 0;
};

// y = the rows of x [rows, width] in `ranges`, one range after the other. y must not overlap x.
void GatherRows(const float* x, size_t width, std::span<const RowRange> ranges, float* y, ExecutionContext& exec);

// The same with single rows: y [indices, width].
void GatherRows(const float* x, size_t width, std::span<const int64_t> indices, float* y, ExecutionContext& exec);
// The reverse: row indices[i] of y becomes row i of x. Indices are distinct.
void ScatterRows(const float* x, size_t width, std::span<const int64_t> indices, float* y, ExecutionContext& exec);

}  // namespace stablelm
