#include "ops/quant/encode_parts.h"

#include <algorithm>
#include <cmath>

namespace stablelm {
namespace {

constexpr F16 kLargestF16 = {0x7BFF};

// Rounds a value >= 0 up to fp16. Returns 0 only when the block's values, about `values`, are closer to 0 than to the
// smallest fp16.
F16 RoundedUp(float value, float values) {
  if (values < 0x1p-25f) return {0};
  F16 half = ToF16(value);
  if (ToFloat(half) < value) ++half.bits;
  return half.bits > kLargestF16.bits ? kLargestF16 : half;
}

void PackNibbles(const Levels& levels, uint8_t (&q)[128]) {
  for (size_t k = 0; k < 4; ++k) {
    for (size_t l = 0; l < 32; ++l) {
      q[32 * k + l] = static_cast<uint8_t>((levels[64 * k + l] & 15) | ((levels[64 * k + 32 + l] & 15) << 4));
    }
  }
}

}  // namespace

AffineSuper ChooseAffineSuper(std::span<const float, 8> scales, std::span<const float, 8> minimums, float top) {
  AffineSuper super{};
  const float scale = *std::ranges::max_element(scales), minimum = *std::ranges::max_element(minimums);
  super.d = RoundedUp(scale / 63.0f, scale * top);
  super.dmin = RoundedUp(minimum / 63.0f, minimum);
  super.scale = ToFloat(super.d);
  super.minimum = ToFloat(super.dmin);
  return super;
}

SymmetricSuper ChooseSymmetricSuper(std::span<const float, 16> scales) {
  float largest = 0;
  for (const float scale : scales) {
    if (std::abs(scale) > std::abs(largest)) largest = scale;
  }
  SymmetricSuper super{};
  super.d = RoundedUp(std::abs(largest) / 128.0f, std::abs(largest) * 32.0f);
  if (largest > 0 && super.d.bits != 0) super.d.bits = static_cast<uint16_t>(super.d.bits | 0x8000u);
  super.scale = ToFloat(super.d);
  return super;
}

F16 NearestScale(float scale, float values) {
  if (values < 0x1p-25f) return {0};
  const F16 half = ToF16(scale);
  const auto magnitude = static_cast<uint16_t>(half.bits & 0x7FFFu);
  return {static_cast<uint16_t>((half.bits & 0x8000u) | std::clamp<uint16_t>(magnitude, 1, kLargestF16.bits))};
}

void PackQ4_K(const AffineSuper& super, const uint8_t* scales, const uint8_t* minimums, const Levels& levels,
              std::byte* out) {
  BlockQ4_K block;
  block.d = super.d;
  block.dmin = super.dmin;
  PackAffineScales(scales, minimums, block.s);
  PackNibbles(levels, block.q);
  StoreBlock(block, out, 0);
}

void PackQ5_K(const AffineSuper& super, const uint8_t* scales, const uint8_t* minimums, const Levels& levels,
              std::byte* out) {
  BlockQ5_K block;
  block.d = super.d;
  block.dmin = super.dmin;
  PackAffineScales(scales, minimums, block.s);
  PackNibbles(levels, block.q);
  for (size_t l = 0; l < 32; ++l) {
    unsigned bits = 0;
    for (size_t j = 0; j < 8; ++j) bits |= static_cast<unsigned>(levels[32 * j + l] >> 4) << j;
    block.high[l] = static_cast<uint8_t>(bits);
  }
  StoreBlock(block, out, 0);
}

void PackQ6_K(const SymmetricSuper& super, const int8_t* scales, const Levels& levels, std::byte* out) {
  BlockQ6_K block;
  for (size_t t = 0; t < 2; ++t) {
    const uint8_t* half = levels.data() + 128 * t;
    for (size_t l = 0; l < 64; ++l) {
      block.low[64 * t + l] = static_cast<uint8_t>((half[l] & 15) | ((half[64 + l] & 15) << 4));
    }
    for (size_t l = 0; l < 32; ++l) {
      block.high[32 * t + l] = static_cast<uint8_t>((half[l] >> 4) | ((half[32 + l] >> 4) << 2) |
                                                    ((half[64 + l] >> 4) << 4) | ((half[96 + l] >> 4) << 6));
    }
  }
  std::copy_n(scales, 16, block.scale);
  block.d = super.d;
  StoreBlock(block, out, 0);
}

void PackQ4_0(F16 d, const uint8_t* levels, std::byte* out) {
  BlockQ4_0 block;
  block.d = d;
  for (size_t j = 0; j < 16; ++j) block.q[j] = static_cast<uint8_t>(levels[j] | (levels[j + 16] << 4));
  StoreBlock(block, out, 0);
}

}  // namespace stablelm
