#include "ops/scores/score_row.h"

#include <cmath>

namespace stablelm {

double SoftmaxWeightsRef(const float* x, size_t n, float max, float* weights) {
  double total = 0;
  for (size_t i = 0; i < n; ++i) {
    const double w = std::exp(static_cast<double>(x[i]) - static_cast<double>(max));
    weights[i] = static_cast<float>(std::round(w / kWeightStep) * kWeightStep);
    total += static_cast<double>(weights[i]);
  }
  return total;
}

}  // namespace stablelm
