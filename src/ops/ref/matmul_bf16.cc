// Reference loops that define bf16 products: those for Compute::kFast, and those of AMX tiles.
#include <bit>
#include <cmath>
#include <vector>

#include "ops/cpu/matmul_amx.h"
#include "ops/matmul.h"

namespace stablelm {
namespace {

constexpr float kSmallestNormal = 0x1p-126f;

float Flushed(float value) { return std::abs(value) < kSmallestNormal ? std::copysign(0.0f, value) : value; }

// x * w + acc rounded once; zero when the result, rounded with unlimited exponent range, is below kSmallestNormal. No
// operand is denormal.
float FlushedMultiplyAdd(float x, float w, float acc) {
  const float sum = std::fma(x, w, acc);
  if (!(std::abs(sum) < 2 * kSmallestNormal)) return sum;  // NaN too
  // Compute it again, scaled up beyond denormals: the sum is small, so acc and at least one factor are far from
  // overflow.
  constexpr float kAway = 0x1p64f;
  const float scaled =
      std::abs(x) < std::abs(w) ? std::fma(x * kAway, w, acc * kAway) : std::fma(x, w * kAway, acc * kAway);
  return std::abs(scaled) < kSmallestNormal * kAway ? std::copysign(0.0f, scaled) : sum;
}

// Widens bf16 values [2 * pairs] to fp32.
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

namespace {

constexpr size_t kStep = 32;  // columns

// Parts of a row, each with the upper half of the bits of the remainder; padded with zeros to whole steps.
using Parts = std::vector<std::vector<float>>;
Parts PartsOf(std::vector<float> row, size_t count) {
  row.resize((row.size() + kStep - 1) / kStep * kStep);
  Parts parts(count, std::vector<float>(row.size()));
  for (std::vector<float>& part : parts) {
    for (size_t k = 0; k < row.size(); ++k) {
      const float upper = std::bit_cast<float>(std::bit_cast<uint32_t>(row[k]) & 0xFFFF0000u);
      part[k] = Flushed(upper);
      row[k] -= upper;
    }
  }
  return parts;
}

// What a tile adds to a sum: two chains, over the lower and over the higher columns of the words.
float StepSum(const float* x, const float* w) {
  float chains[2] = {0, 0};
  for (size_t k = 0; k < kStep; ++k) chains[k % 2] = FlushedMultiplyAdd(x[k], w[k], chains[k % 2]);
  return Flushed(chains[0] + chains[1]);
}

}  // namespace

void MatMulAmxRef(const MatMulInput& in) {
  const PackedMatrix& weights = *in.w;
  const size_t n_out = weights.rows(), k_in = weights.columns();
  const bool fast = weights.compute() == Compute::kFast;
  const size_t w_parts = weights.type() == DType::kF32 ? 3 : weights.type() == DType::kF16 ? 2 : 1;
  std::vector<float> row(k_in);
  for (size_t m = 0; m < static_cast<size_t>(in.m); ++m) {
    for (size_t k = 0; k < k_in; ++k) row[k] = fast ? ToFloat(ToBF16(in.x[m * k_in + k])) : in.x[m * k_in + k];
    const Parts x = PartsOf(row, AmxXParts(weights.compute()));
    for (size_t n = 0; n < n_out; ++n) {
      weights.UnpackRow(n, row.data());
      const Parts w = PartsOf(row, w_parts);
      float total = 0;
      for (size_t i = x.size(); i-- > 0;) {
        float sum = 0;
        for (size_t k = 0; k < x[i].size(); k += kStep) {
          for (size_t j = w.size(); j-- > 0;) sum = Flushed(sum + StepSum(x[i].data() + k, w[j].data() + k));
        }
        total = i + 1 == x.size() ? sum : total + sum;
      }
      in.y[m * n_out + n] = in.bias ? total + in.bias[n] : total;
    }
  }
}

}  // namespace stablelm
