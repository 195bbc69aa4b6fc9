// One step of AdamW as a plain loop, fp64 inside. T is float or double. Keeps denormals.
#pragma once

#include <cmath>
#include <cstddef>

#include "ops/adamw.h"

namespace stablelm {

template <typename T>
void AdamWRef(const AdamWStep& step, size_t n, const T* gradient, T* weights, T* m, T* v) {
  const double t = static_cast<double>(step.t);
  const double correction1 = 1 - std::pow(step.beta1, t), correction2 = 1 - std::pow(step.beta2, t);
  for (size_t i = 0; i < n; ++i) {
    const double g = static_cast<double>(gradient[i]) * step.gradient_scale;
    const double next_m = step.beta1 * static_cast<double>(m[i]) + (1 - step.beta1) * g;
    const double next_v = step.beta2 * static_cast<double>(v[i]) + (1 - step.beta2) * g * g;
    const double kept = static_cast<double>(weights[i]) * (1 - step.rate * step.decay);
    const double change = next_m / correction1 / (std::sqrt(next_v / correction2) + step.epsilon);
    weights[i] = static_cast<T>(kept - step.rate * change);
    m[i] = static_cast<T>(next_m);
    v[i] = static_cast<T>(next_v);
  }
}

}  // namespace stablelm
