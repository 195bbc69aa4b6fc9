// The derivative of the MLP's activation as plain loops, fp64 inside. T is float or double.
#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>

#include "ops/gelu.h"

namespace stablelm {

inline double GeluDerivative(GeluForm form, double z) {
  if (form == GeluForm::kErf) {  // y = z Phi(z)
    const double density = std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
    return 0.5 * std::erfc(-z / std::numbers::sqrt2) + z * density;
  }
  const double c = std::sqrt(2 / std::numbers::pi), k = 0.044715;  // y = z (1 + u) / 2
  const double u = std::tanh(c * (z + k * z * z * z));
  const double rise = c * (1 + 3 * k * z * z), falling = 1 - u * u;
  return 0.5 * (1 + u) + (falling == 0 ? 0 : 0.5 * z * falling * rise);
}

template <typename T>
void GeluBackwardRef(GeluForm form, const T* x, const T* dy, size_t n, T* dx) {
  for (size_t i = 0; i < n; ++i) {
    dx[i] = static_cast<T>(static_cast<double>(dy[i]) * GeluDerivative(form, static_cast<double>(x[i])));
  }
}

}  // namespace stablelm
