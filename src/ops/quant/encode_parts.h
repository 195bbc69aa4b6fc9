// Shared by the reference and the SIMD encoders of quantized rows: the candidates that they try, the fp16 scales of a
// block, and packing. Only the search and the rounding of the values are implemented twice.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/quant/blocks.h"

namespace stablelm {

// A sub-block whose range of values is at most this counts as constant: far below the smallest fp16 scale, 2^-24.
inline constexpr float kConstantRange = 0x1p-30f;

// Steps tried for a sub-block with the levels 0..top: its range divided by top plus one of the candidates (above 0,
// this clips the largest values in favour of the others), and the same with the levels moved down by one of the offsets
// (clips the smallest values). Nine candidates with two offsets leave less error than 21 candidates without offsets.
inline constexpr std::array<float, 9> kAffineCandidates = {0.0f,   -0.25f, 0.25f, -0.5f, 0.5f,
                                                           -0.75f, 0.75f,  -1.0f, 1.0f};
inline constexpr std::array<float, 2> kAffineOffsets = {0.0f, 0.5f};
// Symmetric types: the extreme value divided by the lowest level plus one of these.
inline constexpr std::array<float, 19> kSymmetricCandidates = {0.0f,  -0.1f, 0.1f,  -0.2f, 0.2f,  -0.3f, 0.3f,
                                                               -0.4f, 0.4f,  -0.5f, 0.5f,  -0.6f, 0.6f,  -0.7f,
                                                               0.7f,  -0.8f, 0.8f,  -0.9f, 0.9f};
// Neighbours of the nearest integer scale, tried in this order; the first wins a tie.
inline constexpr std::array<float, 3> kNeighbours = {0.0f, -1.0f, 1.0f};

// Adding and subtracting this rounds |value| < 2^22 to the nearest integer, halves to even: at 1.5 * 2^23 no fraction
// bits are left.
inline constexpr float kRounder = 0x1.8p23f;

// The fp16 scale and minimum of a Q4_K or Q5_K block (levels 0..top), rounded up so that no sub-block needs a factor
// above 63, and their values as fp32.
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

// The fp16 nearest to a scale, never infinite; 0 only when the values that it must represent, about `values`, are
// closer to 0 than to the smallest fp16.
F16 NearestScale(float scale, float values);

// Levels of a block in the order of its values: 0..15, 0..31 or 0..63; symmetric types count from the lowest level.
using Levels = std::array<uint8_t, kSuperBlock>;
void PackQ4_K(const AffineSuper& super, const uint8_t* scales, const uint8_t* minimums, const Levels& levels,
              std::byte* out);
void PackQ5_K(const AffineSuper& super, const uint8_t* scales, const uint8_t* minimums, const Levels& levels,
              std::byte* out);
void PackQ6_K(const SymmetricSuper& super, const int8_t* scales, const Levels& levels, std::byte* out);
void PackQ4_0(F16 d, const uint8_t* levels, std::byte* out);

}  // namespace stablelm
