// Additions to the residual stream, and scaling. y [n] may be x.
#pragma once

#include <cstddef>

#include "ops/execution_context.h"

namespace stablelm {

// y = a + x
void Add(const float* a, const float* x, float* y, size_t n, ExecutionContext& exec);
// y = (m + a) + x: the order in which transformers adds its parallel residual.
void AddPair(const float* m, const float* a, const float* x, float* y, size_t n, ExecutionContext& exec);
// y = factor * x
void Scale(float factor, const float* x, float* y, size_t n, ExecutionContext& exec);

}  // namespace stablelm
