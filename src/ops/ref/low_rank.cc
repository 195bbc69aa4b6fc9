#include "ops/low_rank.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/matmul.h"

namespace stablelm {

void AddLowRankRef(const LowRankInput& in) {
  // One chain per piece, the pieces added in order.
  const auto product = [](const float* x, const std::vector<float>& row) {
    float sum = 0;
    for (size_t k0 = 0; k0 < row.size(); k0 += kMatMulPiece) {
      float chain = 0;
      for (size_t k = k0; k < std::min(row.size(), k0 + kMatMulPiece); ++k) chain = std::fma(x[k], row[k], chain);
      sum = k0 == 0 ? chain : sum + chain;
    }
    return sum;
  };
  const size_t r = in.a->rows(), k = in.a->columns(), n = in.b->rows();
  std::vector<float> z(r), a_row(k), b_row(r);
  for (size_t m = 0; m < static_cast<size_t>(in.m); ++m) {
    for (size_t i = 0; i < r; ++i) {
      in.a->UnpackRow(i, a_row.data());
      z[i] = product(in.x + m * k, a_row);
    }
    for (size_t i = 0; i < n; ++i) {
      in.b->UnpackRow(i, b_row.data());
      float& y = in.y[m * n + i];
      y = std::fma(in.scale, product(z.data(), b_row), y);
    }
  }
}

}  // namespace stablelm
