// Gradient of the embedding lookup (ops/embedding.h).
#pragma once

#include <cstdint>
#include <span>

#include "ops/execution_context.h"

namespace stablelm {

struct EmbeddingGradientInput {
  std::span<const int32_t> ids;  // [rows], each in [0, V)
  const float* dy = nullptr;     // [rows, C]
  int64_t width = 0;             // C
  float* d_table = nullptr;      // [V, C]: row by row, or in the order of a packed fp32 matrix
  bool packed = false;
  std::span<int32_t> order;  // [rows], scratch
};
// d_table[ids[r]] += dy[r], for each id in ascending order of its rows.
void EmbeddingGradient(const EmbeddingGradientInput& in, ExecutionContext& exec);

}  // namespace stablelm
