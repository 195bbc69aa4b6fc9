#include "ops/layer_norm.h"

#include <cmath>

namespace stablelm {

void LayerNormRef(const LayerNormInput& in) {
  const double n = static_cast<double>(in.width);
  for (size_t r = 0; r < in.rows; ++r) {
    const float* x = in.x + r * in.width;
    double mean = 0, variance = 0;
    for (size_t i = 0; i < in.width; ++i) mean += static_cast<double>(x[i]) / n;
    for (size_t i = 0; i < in.width; ++i) variance += std::pow(static_cast<double>(x[i]) - mean, 2) / n;
    const double scale = 1.0 / std::sqrt(variance + in.norm.eps);
    for (size_t i = 0; i < in.width; ++i) {
      in.y[r * in.width + i] =
          static_cast<float>((static_cast<double>(x[i]) - mean) * scale * static_cast<double>(in.norm.weight[i]) +
                             static_cast<double>(in.norm.bias[i]));
    }
  }
}

}  // namespace stablelm
