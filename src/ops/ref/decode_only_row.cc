// Decodes the types that models are only loaded from (IsDecodeOnly). These loops define their values and are the only
// ones: each weight is decoded once, while it is read from the file. As in ref/decode_row.cc, products are exact in
// fp32, and adding or subtracting a minimum rounds once.
#include "base/error.h"
#include "ops/quant/decode_only_blocks.h"
#include "ops/quant/quant_row.h"
#include "ops/ref/decode_blocks.h"

namespace stablelm {
namespace {

// The fifth bit of value j, as 0 or 16.
int FifthBit(const uint8_t (&high)[4], size_t j) { return ((high[j / 8] >> (j % 8)) & 1) << 4; }

void DecodeBlock(const BlockQ4_1& block, float* out) {
  const float d = ToFloat(block.d), m = ToFloat(block.m);
  for (size_t j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(block.q[j] & 15) + m;
    out[j + 16] = d * static_cast<float>(block.q[j] >> 4) + m;
  }
}

void DecodeBlock(const BlockQ5_0& block, float* out) {
  const float d = ToFloat(block.d);
  for (size_t j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(((block.q[j] & 15) | FifthBit(block.high, j)) - 16);
    out[j + 16] = d * static_cast<float>(((block.q[j] >> 4) | FifthBit(block.high, j + 16)) - 16);
  }
}

void DecodeBlock(const BlockQ5_1& block, float* out) {
  const float d = ToFloat(block.d), m = ToFloat(block.m);
  for (size_t j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>((block.q[j] & 15) | FifthBit(block.high, j)) + m;
    out[j + 16] = d * static_cast<float>((block.q[j] >> 4) | FifthBit(block.high, j + 16)) + m;
  }
}

void DecodeBlock(const BlockQ2_K& block, float* out) {
  const float d = ToFloat(block.d), dmin = ToFloat(block.dmin);
  for (size_t j = 0; j < 16; ++j) {
    const float scale = d * static_cast<float>(block.s[j] & 15);
    const float minimum = dmin * static_cast<float>(block.s[j] >> 4);
    const uint8_t* q = block.q + 32 * (j / 8) + 16 * (j % 2);
    const size_t shift = j % 8 / 2 * 2;
    for (size_t l = 0; l < 16; ++l) out[16 * j + l] = scale * static_cast<float>((q[l] >> shift) & 3) - minimum;
  }
}

void DecodeBlock(const BlockQ3_K& block, float* out) {
  const float d = ToFloat(block.d);
  for (size_t j = 0; j < 16; ++j) {
    const float scale = d * static_cast<float>(Q3Scale(block.s, j) - 32);
    const uint8_t *q = block.q + 32 * (j / 8) + 16 * (j % 2), *high = block.high + 16 * (j % 2);
    const size_t shift = j % 8 / 2 * 2, bit = j / 2;
    for (size_t l = 0; l < 16; ++l) {
      const int n = ((q[l] >> shift) & 3) | (((high[l] >> bit) & 1) << 2);
      out[16 * j + l] = scale * static_cast<float>(n - 4);
    }
  }
}

void DecodeBlock(const BlockIQ4_NL& block, float* out) {
  const float d = ToFloat(block.d);
  for (size_t j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(kNonLinear[block.q[j] & 15]);
    out[j + 16] = d * static_cast<float>(kNonLinear[block.q[j] >> 4]);
  }
}

void DecodeBlock(const BlockIQ4_XS& block, float* out) {
  const float d = ToFloat(block.d);
  for (size_t j = 0; j < 8; ++j) {
    const int low = (block.low[j / 2] >> (j % 2 * 4)) & 15, high = (block.high >> (2 * j)) & 3;
    const float scale = d * static_cast<float>((low | (high << 4)) - 32);
    for (size_t l = 0; l < 16; ++l) {
      const uint8_t q = block.q[16 * j + l];
      out[32 * j + l] = scale * static_cast<float>(kNonLinear[q & 15]);
      out[32 * j + l + 16] = scale * static_cast<float>(kNonLinear[q >> 4]);
    }
  }
}

template <typename Block>
void DecodeAll(const std::byte* row, std::span<float> out) {
  DecodeBlocks<Block>(row, out, [](const Block& block, float* to) { DecodeBlock(block, to); });
}

}  // namespace

void DecodeOnlyRow(DType type, const std::byte* row, std::span<float> out) {
  switch (type) {
    case DType::kQ4_1:
      return DecodeAll<BlockQ4_1>(row, out);
    case DType::kQ5_0:
      return DecodeAll<BlockQ5_0>(row, out);
    case DType::kQ5_1:
      return DecodeAll<BlockQ5_1>(row, out);
    case DType::kQ2_K:
      return DecodeAll<BlockQ2_K>(row, out);
    case DType::kQ3_K:
      return DecodeAll<BlockQ3_K>(row, out);
    case DType::kIQ4_NL:
      return DecodeAll<BlockIQ4_NL>(row, out);
    case DType::kIQ4_XS:
      return DecodeAll<BlockIQ4_XS>(row, out);
    default:
      STABLELM_CHECK(false);
  }
}

}  // namespace stablelm
