// The activation of the MLP, in place.
//
// Erf form ("gelu"): 0.5 z (1 + erf(z / sqrt 2)). Tanh form ("gelu_new"): 0.5 z (1 + tanh(sqrt(2/pi) (z + 0.044715
// z^3))).
#pragma once

#include <cstddef>

#include "base/thread_pool.h"

namespace stablelm {

enum class GeluForm { kErf, kTanh };

// Each element's bits depend on that element alone.
void Gelu(GeluForm form, float* values, size_t n, ThreadPool& pool);
void GeluRef(GeluForm form, float* values, size_t n);  // std::erf and std::tanh in fp64

}  // namespace stablelm
