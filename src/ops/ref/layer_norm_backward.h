// The backward pass of the layer norm as plain loops, fp64 inside. T is float or double.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace stablelm {

// ops/layer_norm_backward.h with other types.
template <typename T>
struct LayerNormBackwardArrays {
  const T* x = nullptr;   // [rows, width]
  const T* dy = nullptr;  // [rows, width]
  size_t rows = 0;
  size_t width = 0;
  const T* weight = nullptr;  // [width]
  double eps = 0;
  const T* residual = nullptr;
  T* dx = nullptr;
  T* d_weight = nullptr;
  T* d_bias = nullptr;
  bool add = false;
};

template <typename T>
void LayerNormBackwardRef(const LayerNormBackwardArrays<T>& in) {
  const double n = static_cast<double>(in.width);
  std::vector<double> normed(in.width), g(in.width), d_weight(in.width), d_bias(in.width);
  for (size_t r = 0; r < in.rows; ++r) {
    const T* const x = in.x + r * in.width;
    const T* const dy = in.dy + r * in.width;
    double mean = 0, variance = 0;
    for (size_t i = 0; i < in.width; ++i) mean += static_cast<double>(x[i]) / n;
    for (size_t i = 0; i < in.width; ++i) variance += std::pow(static_cast<double>(x[i]) - mean, 2) / n;
    const double scale = 1 / std::sqrt(variance + in.eps);
    double mean_g = 0, mean_g_normed = 0;
    for (size_t i = 0; i < in.width; ++i) {  // y = normed * weight + bias
      normed[i] = (static_cast<double>(x[i]) - mean) * scale;
      g[i] = static_cast<double>(dy[i]) * static_cast<double>(in.weight[i]);
      mean_g += g[i] / n;
      mean_g_normed += g[i] * normed[i] / n;
      d_weight[i] += static_cast<double>(dy[i]) * normed[i];
      d_bias[i] += static_cast<double>(dy[i]);
    }
    for (size_t i = 0; i < in.width; ++i) {
      const double residual = in.residual != nullptr ? static_cast<double>(in.residual[r * in.width + i]) : 0;
      in.dx[r * in.width + i] = static_cast<T>(residual + scale * (g[i] - mean_g - normed[i] * mean_g_normed));
    }
  }
  if (in.d_weight == nullptr) return;
  for (size_t i = 0; i < in.width; ++i) {
    in.d_weight[i] = static_cast<T>(d_weight[i] + (in.add ? static_cast<double>(in.d_weight[i]) : 0));
    in.d_bias[i] = static_cast<T>(d_bias[i] + (in.add ? static_cast<double>(in.d_bias[i]) : 0));
  }
}

}  // namespace stablelm
