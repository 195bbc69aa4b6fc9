// The blocks of quantized types that are decoded while a model is loaded, byte for byte as GGUF stores them
// (ggml-common.h of GGML), little-endian. No product is computed with them, and nothing is encoded as one
// (ops/quant/blocks.h has the others).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "ops/quant/blocks.h"

namespace stablelm {

// Value j is d (q[j] & 15) + m, value j + 16 is d (q[j] >> 4) + m, j < 16.
struct BlockQ4_1 {
  F16 d;
  F16 m;
  uint8_t q[16];
};

// As Q4_0 with a fifth bit, x = d (n - 16): that of value j is bit j % 8 of high[j / 8].
struct BlockQ5_0 {
  F16 d;
  uint8_t high[4];
  uint8_t q[16];
};

// As Q4_1 with a fifth bit.
struct BlockQ5_1 {
  F16 d;
  F16 m;
  uint8_t high[4];
  uint8_t q[16];
};

// 16 sub-blocks of 16: x = d S n - dmin M, 0 <= n <= 3. S and M are the low and high nibbles of s[j]. Value
// 128 t + 32 r + l (t < 2, r < 4, l < 32) has n in q[32 t + l], from bit 2 r, as the upper bits of Q6_K.
struct BlockQ2_K {
  uint8_t s[16];
  uint8_t q[64];
  F16 d;
  F16 dmin;
};

// 16 sub-blocks of 16: x = d (S - 32) n, -4 <= n <= 3. The low two bits of n + 4 lie as in Q2_K, the third of value
// 128 t + 32 r + l is bit 4 t + r of high[l]. The 6-bit S are packed in s (Q3Scale).
struct BlockQ3_K {
  uint8_t high[32];
  uint8_t q[64];
  uint8_t s[12];
  F16 d;
};

// As Q4_0, but a nibble is an index of kNonLinear: x = d kNonLinear[n].
struct BlockIQ4_NL {
  F16 d;
  uint8_t q[16];
};

// 8 sub-blocks of 32: x = d (S - 32) kNonLinear[n]. S of sub-block j: its low four bits in nibble j of low, the upper
// two from bit 2 j of high. Bytes q[16 j ..] hold sub-block j as IQ4_NL does.
struct BlockIQ4_XS {
  F16 d;
  uint16_t high;
  uint8_t low[4];
  uint8_t q[128];
};

static_assert(sizeof(BlockQ4_1) == 20 && offsetof(BlockQ4_1, q) == 4);
static_assert(sizeof(BlockQ5_0) == 22 && offsetof(BlockQ5_0, q) == 6);
static_assert(sizeof(BlockQ5_1) == 24 && offsetof(BlockQ5_1, q) == 8);
static_assert(sizeof(BlockQ2_K) == 84 && offsetof(BlockQ2_K, q) == 16 && offsetof(BlockQ2_K, d) == 80);
static_assert(sizeof(BlockQ3_K) == 110 && offsetof(BlockQ3_K, q) == 32 && offsetof(BlockQ3_K, s) == 96);
static_assert(sizeof(BlockIQ4_NL) == 18 && offsetof(BlockIQ4_NL, q) == 2);
static_assert(sizeof(BlockIQ4_XS) == 136 && offsetof(BlockIQ4_XS, low) == 4 && offsetof(BlockIQ4_XS, q) == 8);

template <>
inline constexpr DType kDTypeOf<BlockQ4_1> = DType::kQ4_1;
template <>
inline constexpr DType kDTypeOf<BlockQ5_0> = DType::kQ5_0;
template <>
inline constexpr DType kDTypeOf<BlockQ5_1> = DType::kQ5_1;
template <>
inline constexpr DType kDTypeOf<BlockQ2_K> = DType::kQ2_K;
template <>
inline constexpr DType kDTypeOf<BlockQ3_K> = DType::kQ3_K;
template <>
inline constexpr DType kDTypeOf<BlockIQ4_NL> = DType::kIQ4_NL;
template <>
inline constexpr DType kDTypeOf<BlockIQ4_XS> = DType::kIQ4_XS;

// The values of IQ4_NL and IQ4_XS: denser around zero.
inline constexpr int8_t kNonLinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// S of sub-block j < 16 of a Q3_K block: the low four bits in the nibbles of s[0..7], the low ones first; the upper two
// in s[8..11].
inline int Q3Scale(const uint8_t (&s)[12], size_t j) {
  const int low = (s[j % 8] >> (j / 8 * 4)) & 15;
  const int high = (s[8 + j % 4] >> (j / 4 * 2)) & 3;
  return low | (high << 4);
}

}  // namespace stablelm
