#include <vector>

#include "ops/matmul.h"

namespace stablelm {

void MatMulRef(const MatMulInput& in) {
  const size_t n_out = in.w->rows(), k_in = in.w->columns(), rows = static_cast<size_t>(in.m);
  std::vector<float> row(k_in);
  for (size_t n = 0; n < n_out; ++n) {
    in.w->UnpackRow(n, row.data());
    for (size_t m = 0; m < rows; ++m) {
      double sum = 0;
      for (size_t k = 0; k < k_in; ++k) sum += static_cast<double>(in.x[m * k_in + k]) * static_cast<double>(row[k]);
      in.y[m * n_out + n] = static_cast<float>(sum + (in.bias ? static_cast<double>(in.bias[n]) : 0.0));
    }
  }
}

}  // namespace stablelm
