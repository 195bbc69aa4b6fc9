// The columns of a matrix, prepared for the sum over its rows in the gradient of a weight. Internal to ops.
#pragma once

#include <cstddef>

namespace stablelm {

// to[c * stride + i] = rows[i][c] for the `count` rows of `columns` 32-bit elements.
void CutColumns(const float* const* rows, size_t count, size_t columns, size_t stride, float* to);
// Joins rows of bf16 values into words, the value of `low` in the lower half. high null: zeros. words may be low.
void JoinRows(const float* low, const float* high, size_t columns, float* words);

}  // namespace stablelm
