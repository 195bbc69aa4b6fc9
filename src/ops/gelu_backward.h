// Derivative of the activation of the MLP (ops/gelu.h).
//
// Erf form: Phi(z) + z phi(z), Phi and phi those of the standard normal distribution. Tanh form, with
// c = sqrt(2/pi), u = tanh(c (z + 0.044715 z^3)): (1 + u) / 2 + z (1 - u^2) c (1 + 3 * 0.044715 z^2) / 2.
#pragma once

#include <cstddef>

#include "ops/execution_context.h"
#include "ops/gelu.h"

namespace stablelm {

// dx [n] = dy [n] * gelu'(x [n]), x the input of the activation; dx may be dy. An element's bits depend on its x and dy
// alone.
void GeluBackward(GeluForm form, const float* x, const float* dy, size_t n, float* dx, ExecutionContext& exec);

}  // namespace stablelm
