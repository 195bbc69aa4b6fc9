// Sums over the rows of a matrix: the gradient of a bias.
//
// Rows are split into pieces of kColumnSumPiece. In each, a column is one chain of additions from zero in ascending
// order; the pieces are added in order, after the earlier value when there is one. Threads and vector lengths change no
// bit.
#pragma once

#include <cstddef>

#include "ops/execution_context.h"

namespace stablelm {

inline constexpr size_t kColumnSumPiece = 256;

struct ColumnSumsInput {
  const float* x = nullptr;  // [rows, width]
  size_t rows = 0;
  size_t width = 0;
  float* sums = nullptr;  // [width]
  bool add = false;       // sums += instead of sums =
};
void ColumnSums(const ColumnSumsInput& in, ExecutionContext& exec);

}  // namespace stablelm
