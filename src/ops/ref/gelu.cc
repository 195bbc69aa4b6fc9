#include "ops/gelu.h"

#include <cmath>
#include <numbers>

namespace stablelm {

void GeluRef(GeluForm form, const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) {
    const double z = static_cast<double>(x[i]);
    const double gate = form == GeluForm::kErf ? std::erfc(-z / std::numbers::sqrt2)
                                               : 1 + std::tanh(0.7978845608028654 * (z + 0.044715 * z * z * z));
    y[i] = static_cast<float>(0.5 * z * gate);
  }
}

}  // namespace stablelm
