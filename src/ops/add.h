// Additions to the residual stream.
#pragma once

#include <cstddef>

#include "base/thread_pool.h"

namespace stablelm {

// x += a
void AddInPlace(const float* a, float* x, size_t n, ThreadPool& pool);
// x = (m + a) + x, the order of additions of transformers' parallel residual.
void AddPairInPlace(const float* m, const float* a, float* x, size_t n, ThreadPool& pool);

}  // namespace stablelm
