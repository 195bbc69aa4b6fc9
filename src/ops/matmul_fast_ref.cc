// The plain loops that define products for Compute::kFast.
#include <cmath>
#include <vector>

#include "ops/matmul.h"

namespace stablelm {
namespace {

constexpr float kSmallestNormal = 0x1p-126f;

float Flushed(float value) { return std::abs(value) < kSmallestNormal ? std::copysign(0.0f, value) : value; }

// x * w + acc rounded once, zero when a format without a smallest exponent would give less than kSmallestNormal.
// The operands are no denormals.
float FlushedMultiplyAdd(float x, float w, float acc) {
  const float sum = std::fma(x, w, acc);
  if (!(std::abs(sum) < 2 * kSmallestNormal)) return sum;  // NaN too
  // Where there are no denormals: the sum is small, so that acc and one factor at least are far from overflowing.
  constexpr float kAway = 0x1p64f;
  const float scaled =
      std::abs(x) < std::abs(w) ? std::fma(x * kAway, w, acc * kAway) : std::fma(x, w * kAway, acc * kAway);
  return std::abs(scaled) < kSmallestNormal * kAway ? std::copysign(0.0f, scaled) : sum;
}

// bf16 bits [2 * pairs] as fp32.
void Widen(const std::vector<BF16>& row, std::vector<float>& out) {
  for (size_t k = 0; k < row.size(); ++k) out[k] = Flushed(ToFloat(row[k]));
}

}  // namespace

void MatMulFastRef(const MatMulInput& in) {
  const PackedMatrix& weights = *in.w;
  const size_t n_out = weights.rows(), k_in = weights.columns(), padded = (k_in + 1) / 2 * 2;
  std::vector<BF16> row(padded);  // an odd row ends with a zero
  std::vector<float> x(padded), w(padded);
  for (size_t m = 0; m < static_cast<size_t>(in.m); ++m) {
    for (size_t k = 0; k < k_in; ++k) row[k] = ToBF16(in.x[m * k_in + k]);
    if (padded > k_in) row[k_in] = {};
    Widen(row, x);
    for (size_t n = 0; n < n_out; ++n) {
      weights.StoredRow(n, reinterpret_cast<std::byte*>(row.data()));
      if (padded > k_in) row[k_in] = {};
      Widen(row, w);
      float sum = 0;
      for (size_t k0 = 0; k0 < padded; k0 += kMatMulPiece) {
        float chain = 0;
        for (size_t k = k0; k < std::min(padded, k0 + kMatMulPiece); k += 2) {
          chain = FlushedMultiplyAdd(x[k + 1], w[k + 1], chain);
          chain = FlushedMultiplyAdd(x[k], w[k], chain);
        }
        sum = k0 == 0 ? chain : Flushed(sum + chain);
      }
      in.y[m * n_out + n] = in.bias ? Flushed(sum + Flushed(in.bias[n])) : sum;
    }
  }
}

}  // namespace stablelm
