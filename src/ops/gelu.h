// The activation of the MLP.
//
// Erf form ("gelu"): 0.5 z (1 + erf(z / sqrt 2)). Tanh form ("gelu_new"): 0.5 z (1 + tanh(sqrt(2/pi) (z + 0.044715
// z^3))).
#pragma once

#include <cstddef>

#include "ops/execution_context.h"

namespace stablelm {

enum class GeluForm { kErf, kTanh };

// y [n] = gelu(x [n]); y may be x. The bits of an element depend on that element alone.
void Gelu(GeluForm form, const float* x, size_t n, float* y, ExecutionContext& exec);
void GeluRow(GeluForm form, const float* x, size_t n, float* y);  // the same, on the calling thread
void GeluRef(GeluForm form, const float* x, size_t n, float* y);  // std::erf and std::tanh in fp64

}  // namespace stablelm
