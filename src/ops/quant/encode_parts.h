// What the plain and the SIMD encoders of quantized rows share: the candidates that they try, the fp16 scales of a
// block, and packing. Only the search and the rounding of the values are written twice.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/quant/blocks.h"

namespace stablelm {

// A sub-block whose values lie closer together than this is constant: far below the smallest fp16 scale, 2^-24.
inline constexpr float kConstantRange = 0x1p-30f;

// Steps tried for a sub-block with the levels 0..top: its range divided by top plus one of the candidates (more than
// top: the largest values are cut off for the sake of the others), and the same with the levels moved down by one of
// the offsets (the smallest values are cut off). Nine candidates with two offsets leave less error than 21 with none.
inline constexpr std::array<float, 9> kAffineCandidates = {0.0f,   -0.25f, 0.25f, -0.5f, 0.5f,
                                                           -0.75f, 0.75f,  -1.0f, 1.0f};
inline constexpr std::array<float, 2> kAffineOffsets = {0.0f, 0.5f};
// Symmetric types: the extreme divided by their lowest level plus one of these.
inline constexpr std::array<float, 19> kSymmetricCandidates = {0.0f,  -0.1f, 0.1f,  -0.2f, 0.2f,  -0.3f, 0.3f,
                                                               -0.4f, 0.4f,  -0.5f, 0.5f,  -0.6f, 0.6f,  -0.7f,
                                                               0.7f,  -0.8f, 0.8f,  -0.9f, 0.9f};
// Neighbours of the nearest integer scale, tried in this order; the first of equals stays.
inline constexpr std::array<float, 3> kNeighbours = {0.0f, -1.0f, 1.0f};

// Nearest integer, halves to even, for |value| < 2^22: adding 1.5 * 2^23 leaves no bits behind the point.
inline constexpr float kRounder = 0x1.8p23f;

// The block's fp16 scale and minimum of Q4_K and Q5_K (levels 0..top), rounded up so that no sub-block needs more than
// 63 of them, and their values as fp32.
struct AffineSuper {
  F16 d;
  F16 dmin;
  float scale;
  float minimum;
};
AffineSuper ChooseAffineSuper(std::span<const float, 8> scales, std::span<const float, 8> minimums, float top);

// The same for Q6_K: the sub-block with the largest scale gets -128.
struct SymmetricSuper {
  F16 d;
  float scale;
};
SymmetricSuper ChooseSymmetricSuper(std::span<const float, 16> scales);

// The fp16 nearest to a scale, neither infinite nor 0: unless the values that it shall reach, `values`, are closer to 0
// than to the smallest fp16.
F16 NearestScale(float scale, float values);

// Levels of a block in the order of its values: 0..15, 0..31 or 0..63, for the symmetric types counted from the lowest.
using Levels = std::array<uint8_t, kSuperBlock>;
void PackQ4_K(const AffineSuper& super, const uint8_t* scales, const uint8_t* minimums, const Levels& levels,
              std::byte* out);
void PackQ5_K(const AffineSuper& super, const uint8_t* scales, const uint8_t* minimums, const Levels& levels,
              std::byte* out);
void PackQ6_K(const SymmetricSuper& super, const int8_t* scales, const Levels& levels, std::byte* out);
void PackQ4_0(F16 d, const uint8_t* levels, std::byte* out);

}  // namespace stablelm
