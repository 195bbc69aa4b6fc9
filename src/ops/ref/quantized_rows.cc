#include "ops/quantized_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace stablelm {

void QuantizeBlockRef(const float* x, size_t n, int8_t* q, float* scale) {
  float a = 0;
  bool finite = true;
  for (size_t i = 0; i < n; ++i) {
    finite = finite && std::isfinite(x[i]);
    a = std::max(a, std::abs(x[i]));
  }
  const bool zero = !finite || a < kSmallestBlock;
  *scale = !finite ? std::numeric_limits<float>::quiet_NaN() : zero ? 0.0f : a / 127.0f;
  const float inverse = 127.0f / a;
  for (size_t i = 0; i < n; ++i) q[i] = zero ? int8_t{0} : static_cast<int8_t>(std::nearbyint(x[i] * inverse));
}

}  // namespace stablelm
