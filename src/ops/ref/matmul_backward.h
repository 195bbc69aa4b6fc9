// Plain loops of the backward pass of y = x Wᵀ, for float and double. Sums are in fp64.
#pragma once

#include <cstddef>

namespace stablelm {

// dx [rows, K] = dy [rows, N] W [N, K], or += it.
template <typename T>
void InputGradientPlain(const T* dy, const T* w, size_t rows, size_t n, size_t k, bool add, T* dx) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < k; ++c) {
      double sum = add ? static_cast<double>(dx[r * k + c]) : 0;
      for (size_t i = 0; i < n; ++i) sum += static_cast<double>(dy[r * n + i]) * static_cast<double>(w[i * k + c]);
      dx[r * k + c] = static_cast<T>(sum);
    }
  }
}

// dw [N, K] += dyᵀ x.
template <typename T>
void WeightGradientPlain(const T* dy, const T* x, size_t rows, size_t n, size_t k, T* dw) {
  for (size_t i = 0; i < n; ++i) {
    for (size_t c = 0; c < k; ++c) {
      double sum = static_cast<double>(dw[i * k + c]);
      for (size_t r = 0; r < rows; ++r) sum += static_cast<double>(dy[r * n + i]) * static_cast<double>(x[r * k + c]);
      dw[i * k + c] = static_cast<T>(sum);
    }
  }
}

}  // namespace stablelm
