// Rows of the embedding: the first activations of a pass.
#pragma once

#include <cstdint>
#include <span>

#include "base/tensor.h"
#include "ops/execution_context.h"

namespace stablelm {

// y [ids, C] = the rows of `table` [V, C] that the ids name, as fp32. The table is of a float type or quantized, at any
// byte address; every id is in [0, V).
void EmbedTokens(const TensorView& table, std::span<const int32_t> ids, float* y, ExecutionContext& exec);

}  // namespace stablelm
