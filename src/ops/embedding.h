// Embedding lookup: the first activations of a forward pass.
#pragma once

#include <cstdint>
#include <span>

#include "base/tensor.h"
#include "ops/execution_context.h"
#include "ops/packed_matrix.h"

namespace stablelm {

// y [ids, C] = rows `ids` of `table` [V, C], as fp32. The table has a float or quantized type and may start at any byte
// address; every id is in [0, V).
void EmbedTokens(const TensorView& table, std::span<const int32_t> ids, float* y, ExecutionContext& exec);
// The same values from the packed matrix of a model whose embedding is its output projection. Allocates nothing.
void EmbedTokens(const PackedMatrix& table, std::span<const int32_t> ids, float* y, ExecutionContext& exec);

}  // namespace stablelm
