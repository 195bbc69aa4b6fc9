// The blocks of quantized rows, byte for byte as GGUF stores them (ggml-common.h of GGML), little-endian.
//
// A row is a whole number of blocks, one after the other. A block of Q4_K, Q5_K or Q6_K has 256 values in sub-blocks,
// whose scales are integers times the block's fp16 scale. Blocks may start at any byte address: copy one (LoadBlock)
// before reading it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/dtype.h"

namespace stablelm {

static_assert(std::endian::native == std::endian::little, "blocks are read as they lie in the file");

inline constexpr size_t kSmallBlock = 32;   // values of a Q8_0 or Q4_0 block, of a sub-block of Q4_K and Q5_K
inline constexpr size_t kSuperBlock = 256;  // values of a Q4_K, Q5_K or Q6_K block

// x = d q
struct BlockQ8_0 {
  F16 d;
  int8_t q[32];
};

// Value j is d ((q[j] & 15) - 8), value j + 16 is d ((q[j] >> 4) - 8), j < 16.
struct BlockQ4_0 {
  F16 d;
  uint8_t q[16];
};

// 8 sub-blocks of 32: x = d S n - dmin M. The 6-bit S and M are packed in s (AffineScale, AffineMinimum). Bytes
// q[32 k ..] hold sub-block 2 k in their low and sub-block 2 k + 1 in their high nibbles.
struct BlockQ4_K {
  F16 d;
  F16 dmin;
  uint8_t s[12];
  uint8_t q[128];
};

// As Q4_K with a fifth bit: that of value l of sub-block j is bit j of high[l].
struct BlockQ5_K {
  F16 d;
  F16 dmin;
  uint8_t s[12];
  uint8_t high[32];
  uint8_t q[128];
};

// 16 sub-blocks of 16: x = d scale n, -32 <= n <= 31. Value 128 t + 32 r + l (t < 2, r < 4, l < 32) has the low four
// bits of n + 32 in low[64 t + 32 (r & 1) + l], low nibble for r < 2, and the upper two in high[32 t + l], from bit 2
// r.
struct BlockQ6_K {
  uint8_t low[128];
  uint8_t high[64];
  int8_t scale[16];
  F16 d;
};

static_assert(sizeof(BlockQ8_0) == 34 && offsetof(BlockQ8_0, q) == 2);
static_assert(sizeof(BlockQ4_0) == 18 && offsetof(BlockQ4_0, q) == 2);
static_assert(sizeof(BlockQ4_K) == 144 && offsetof(BlockQ4_K, s) == 4 && offsetof(BlockQ4_K, q) == 16);
static_assert(sizeof(BlockQ5_K) == 176 && offsetof(BlockQ5_K, high) == 16 && offsetof(BlockQ5_K, q) == 48);
static_assert(sizeof(BlockQ6_K) == 210 && offsetof(BlockQ6_K, scale) == 192 && offsetof(BlockQ6_K, d) == 208);

template <>
inline constexpr DType kDTypeOf<BlockQ8_0> = DType::kQ8_0;
template <>
inline constexpr DType kDTypeOf<BlockQ4_0> = DType::kQ4_0;
template <>
inline constexpr DType kDTypeOf<BlockQ4_K> = DType::kQ4_K;
template <>
inline constexpr DType kDTypeOf<BlockQ5_K> = DType::kQ5_K;
template <>
inline constexpr DType kDTypeOf<BlockQ6_K> = DType::kQ6_K;

template <typename Block>
Block LoadBlock(const std::byte* row, size_t index) {
  Block block;
  std::memcpy(&block, row + index * sizeof block, sizeof block);
  return block;
}
template <typename Block>
void StoreBlock(const Block& block, std::byte* row, size_t index) {
  std::memcpy(row + index * sizeof block, &block, sizeof block);
}

// Scale and minimum of sub-block j < 8 of a Q4_K or Q5_K block: the first four in the low six bits of s[0..3] and
// s[4..7], the others in s[8..11], with their upper two bits in the upper bits of the first eight bytes.
inline uint8_t AffineScale(const uint8_t (&s)[12], size_t j) {
  return static_cast<uint8_t>(j < 4 ? s[j] & 63 : (s[j + 4] & 15) | ((s[j - 4] >> 6) << 4));
}
inline uint8_t AffineMinimum(const uint8_t (&s)[12], size_t j) {
  return static_cast<uint8_t>(j < 4 ? s[j + 4] & 63 : (s[j + 4] >> 4) | ((s[j] >> 6) << 4));
}
// All eight at once; each is at most 63.
inline void PackAffineScales(const uint8_t* scale, const uint8_t* minimum, uint8_t (&s)[12]) {
  for (size_t j = 0; j < 4; ++j) {
    s[j] = static_cast<uint8_t>(scale[j] | ((scale[j + 4] >> 4) << 6));
    s[j + 4] = static_cast<uint8_t>(minimum[j] | ((minimum[j + 4] >> 4) << 6));
    s[j + 8] = static_cast<uint8_t>((scale[j + 4] & 15) | ((minimum[j + 4] & 15) << 4));
  }
}

}  // namespace stablelm
