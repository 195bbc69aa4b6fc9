// Reference loops that define the values of blocks. Products of the short integers and the 11-bit fp16 scales are exact
// in fp32 (at most 23 bits), so the order of the factors does not change bits; subtracting the minimum rounds once.
#include "base/error.h"
#include "ops/quant/blocks.h"
#include "ops/quant/quant_row.h"
#include "ops/ref/decode_blocks.h"

namespace stablelm {
namespace {

void DecodeBlock(const BlockQ8_0& block, float* out) {
  const float d = ToFloat(block.d);
  for (size_t j = 0; j < 32; ++j) out[j] = d * static_cast<float>(block.q[j]);
}

void DecodeBlock(const BlockQ4_0& block, float* out) {
  const float d = ToFloat(block.d);
  for (size_t j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>((block.q[j] & 15) - 8);
    out[j + 16] = d * static_cast<float>((block.q[j] >> 4) - 8);
  }
}

void DecodeBlock(const BlockQ4_K& block, float* out) {
  const float d = ToFloat(block.d), dmin = ToFloat(block.dmin);
  for (size_t j = 0; j < 8; ++j) {
    const float scale = d * static_cast<float>(AffineScale(block.s, j));
    const float minimum = dmin * static_cast<float>(AffineMinimum(block.s, j));
    for (size_t l = 0; l < 32; ++l) {
      const int n = (block.q[j / 2 * 32 + l] >> (j % 2 * 4)) & 15;
      out[32 * j + l] = scale * static_cast<float>(n) - minimum;
    }
  }
}

void DecodeBlock(const BlockQ5_K& block, float* out) {
  const float d = ToFloat(block.d), dmin = ToFloat(block.dmin);
  for (size_t j = 0; j < 8; ++j) {
    const float scale = d * static_cast<float>(AffineScale(block.s, j));
    const float minimum = dmin * static_cast<float>(AffineMinimum(block.s, j));
    for (size_t l = 0; l < 32; ++l) {
      const int n = ((block.q[j / 2 * 32 + l] >> (j % 2 * 4)) & 15) | (((block.high[l] >> j) & 1) << 4);
      out[32 * j + l] = scale * static_cast<float>(n) - minimum;
    }
  }
}

void DecodeBlock(const BlockQ6_K& block, float* out) {
  const float d = ToFloat(block.d);
  for (size_t t = 0; t < 2; ++t) {
    for (size_t r = 0; r < 4; ++r) {
      for (size_t l = 0; l < 32; ++l) {
        const int low = (block.low[64 * t + 32 * (r & 1) + l] >> (r < 2 ? 0 : 4)) & 15;
        const int high = (block.high[32 * t + l] >> (2 * r)) & 3;
        const float scale = d * static_cast<float>(block.scale[8 * t + 2 * r + l / 16]);
        out[128 * t + 32 * r + l] = scale * static_cast<float>((low | (high << 4)) - 32);
      }
    }
  }
}

template <typename Block>
void DecodeAll(const std::byte* row, std::span<float> out) {
  DecodeBlocks<Block>(row, out, [](const Block& block, float* to) { DecodeBlock(block, to); });
}

}  // namespace

void DecodeRowRef(DType type, const std::byte* row, std::span<float> out) {
  switch (type) {
    case DType::kQ8_0:
      return DecodeAll<BlockQ8_0>(row, out);
    case DType::kQ4_0:
      return DecodeAll<BlockQ4_0>(row, out);
    case DType::kQ4_K:
      return DecodeAll<BlockQ4_K>(row, out);
    case DType::kQ5_K:
      return DecodeAll<BlockQ5_K>(row, out);
    case DType::kQ6_K:
      return DecodeAll<BlockQ6_K>(row, out);
    default:
      return DecodeOnlyRow(type, row, out);
  }
}

}  // namespace stablelm
