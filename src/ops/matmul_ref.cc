#include "base/error.h"
#include "ops/convert.h"
#include "ops/matmul.h"

#include <vector>

namespace stablelm {

void MatMulRef(const MatMulInput& in) {
  const int64_t n_out = in.w.shape[0], k_in = in.w.shape[1];
  std::vector<float> row(static_cast<size_t>(k_in));
  const size_t row_bytes = static_cast<size_t>(k_in) * BytesOf(in.w.dtype);
  for (int64_t n = 0; n < n_out; ++n) {
    ConvertToFloat(in.w.dtype, in.w.data + static_cast<size_t>(n) * row_bytes, row.size(), row.data());
    for (int64_t m = 0; m < in.m; ++m) {
      double sum = 0;
      for (int64_t k = 0; k < k_in; ++k) {
        sum += static_cast<double>(in.x[m * k_in + k]) * static_cast<double>(row[static_cast<size_t>(k)]);
      }
      in.y[m * n_out + n] = static_cast<float>(sum + (in.bias ? static_cast<double>(in.bias[n]) : 0.0));
    }
  }
}

}  // namespace stablelm
