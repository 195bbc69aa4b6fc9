// The sum of squares of one chunk, in the order of ops/gradient_norm.h, as plain loops.
#pragma once

#include <cstddef>

#include "ops/gradient_norm.h"

namespace stablelm {

inline double SumOfChunkRef(const float* x, size_t n) {
  double chains[kNormChains] = {};
  for (size_t i = 0; i < n; ++i) chains[i % kNormChains] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  for (size_t half = kNormChains / 2; half > 0; half /= 2) {
    for (size_t c = 0; c < half; ++c) chains[c] += chains[c + half];
  }
  return chains[0];
}

}  // namespace stablelm
