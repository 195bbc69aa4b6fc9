// Cross-entropy and its gradient as plain loops, fp64 inside. T is float or double.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace stablelm {

// ops/cross_entropy.h with other types; gradient [rows, V] may be null or logits.
template <typename T>
void CrossEntropyRef(const T* logits, const int32_t* targets, int64_t rows, int64_t vocab_size, double scale,
                     double* losses, T* gradient) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* const z = logits + r * vocab_size;
    const double max = static_cast<double>(*std::max_element(z, z + vocab_size));
    double total = 0;
    bool finite = true;
    for (int64_t i = 0; i < vocab_size; ++i) {
      total += std::exp(static_cast<double>(z[i]) - max);
      finite = finite && std::isfinite(z[i]);
    }
    const double log_sum = finite ? max + std::log(total) : std::numeric_limits<double>::quiet_NaN();
    losses[r] = log_sum - static_cast<double>(z[targets[r]]);
    if (gradient == nullptr) continue;
    for (int64_t i = 0; i < vocab_size; ++i) {  // loss = log_sum - z[target]
      const double p = std::exp(static_cast<double>(z[i]) - log_sum);
      gradient[r * vocab_size + i] = static_cast<T>(scale * (p - (i == targets[r] ? 1 : 0)));
    }
  }
}

}  // namespace stablelm
