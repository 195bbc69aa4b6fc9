#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "ops/matmul.h"
#include "ops/quant/blocks.h"
#include "ops/quantized_rows.h"

namespace stablelm {
namespace {

// One row of x in one block.
struct XBlock {
  const int8_t* q;
  float scale;
};

int32_t SumOf(const int8_t* q, size_t n) {
  int32_t sum = 0;
  for (size_t i = 0; i < n; ++i) sum += q[i];
  return sum;
}

float Fold(int32_t sum, F16 scale, const XBlock& x, float acc) {
  const float product = ToFloat(scale) * x.scale;
  return std::fma(static_cast<float>(sum), product, acc);
}

float Add(const BlockQ8_0& w, const XBlock& x, float acc) {
  int32_t sum = 0;
  for (size_t i = 0; i < 32; ++i) sum += w.q[i] * x.q[i];
  return Fold(sum, w.d, x, acc);
}

float Add(const BlockQ4_0& w, const XBlock& x, float acc) {
  int32_t sum = 0;
  for (size_t i = 0; i < 16; ++i) sum += ((w.q[i] & 15) - 8) * x.q[i] + ((w.q[i] >> 4) - 8) * x.q[i + 16];
  return Fold(sum, w.d, x, acc);
}

// Q4_K, Q5_K. quant(j, i): value i of sub-block j.
template <class Block, class Quant>
float AddAffine(const Block& w, const XBlock& x, float acc, const Quant& quant) {
  int32_t scaled = 0, lifted = 0;
  for (size_t j = 0; j < 8; ++j) {
    int32_t sum = 0;
    for (size_t i = 0; i < 32; ++i) sum += quant(j, i) * x.q[32 * j + i];
    scaled += AffineScale(w.s, j) * sum;
    lifted -= AffineMinimum(w.s, j) * SumOf(x.q + 32 * j, 32);
  }
  return Fold(lifted, w.dmin, x, Fold(scaled, w.d, x, acc));
}

int32_t Nibble(const uint8_t* q, size_t j, size_t i) {
  const uint8_t both = q[j / 2 * 32 + i];
  return j % 2 ? both >> 4 : both & 15;
}

float Add(const BlockQ4_K& w, const XBlock& x, float acc) {
  return AddAffine(w, x, acc, [&](size_t j, size_t i) { return Nibble(w.q, j, i); });
}

float Add(const BlockQ5_K& w, const XBlock& x, float acc) {
  return AddAffine(w, x, acc, [&](size_t j, size_t i) { return Nibble(w.q, j, i) + ((w.high[i] >> j) & 1) * 16; });
}

float Add(const BlockQ6_K& w, const XBlock& x, float acc) {
  int32_t scaled = 0;
  for (size_t sub = 0; sub < 16; ++sub) {
    int32_t sum = 0;
    for (size_t i = 0; i < 16; ++i) {
      const size_t at = 16 * sub + i, t = at / 128, r = at / 32 % 4, l = at % 32;
      const uint8_t both = w.low[64 * t + 32 * (r % 2) + l];
      const int32_t low = r < 2 ? both & 15 : both >> 4;
      sum += ((low | ((w.high[32 * t + l] >> (2 * r)) & 3) << 4) - 32) * x.q[at];
    }
    scaled += w.scale[sub] * sum;
  }
  return Fold(scaled, w.d, x, acc);
}

template <class Block>
void Product(const MatMulInput& in, size_t block) {
  const size_t k = in.w->columns(), n_out = in.w->rows(), rows = static_cast<size_t>(in.m);
  std::vector<int8_t> q(rows * k);
  std::vector<float> scale(rows * k / block);
  for (size_t at = 0; at < q.size(); at += block) QuantizeBlockRef(in.x + at, block, &q[at], &scale[at / block]);
  std::vector<std::byte> stored(in.w->row_bytes());
  for (size_t n = 0; n < n_out; ++n) {
    in.w->StoredRow(n, stored.data());
    for (size_t m = 0; m < rows; ++m) {
      float acc = 0;
      for (size_t b = 0; b < k / block; ++b) {
        const size_t at = m * k + b * block;
        acc = Add(LoadBlock<Block>(stored.data(), b), {&q[at], scale[at / block]}, acc);
      }
      in.y[m * n_out + n] = in.bias ? acc + in.bias[n] : acc;
    }
  }
}

}  // namespace

void MatMulQuantRef(const MatMulInput& in) {
  const size_t block = static_cast<size_t>(BlockElements(in.w->type()));
  switch (in.w->type()) {
    case DType::kQ8_0:
      return Product<BlockQ8_0>(in, block);
    case DType::kQ4_0:
      return Product<BlockQ4_0>(in, block);
    case DType::kQ4_K:
      return Product<BlockQ4_K>(in, block);
    case DType::kQ5_K:
      return Product<BlockQ5_K>(in, block);
    case DType::kQ6_K:
      return Product<BlockQ6_K>(in, block);
    default:
      STABLELM_CHECK(false);
  }
}

}  // namespace stablelm
