// Normally distributed numbers by position: number i of a stream is a pure function of (key, stream, i), with the same
// bits on every machine, SIMD target and compiler, for any split of the work.
//
// Philox4x32-10 words (base/random.h) through the Box-Muller transform. Every step is an IEEE operation that rounds
// once (no fused multiply-add) or works on bits, and the polynomials are evaluated in one fixed order; that is what
// makes the bits portable. Numbers reach to 5.9 standard deviations.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace stablelm {

// Numbers come in blocks of 64: 16 Philox counters give four words each. Words 0 and 1 of counter 16 b + l make numbers
// 64 b + l and 64 b + 16 + l, words 2 and 3 make 64 b + 32 + l and 64 b + 48 + l.
inline constexpr size_t kNormalBlock = 64;

// Writes scale * number(64 * first_block + i) to out[i] for i < n. `out` at any float address.
void FillNormal(uint64_t key, uint64_t stream, uint64_t first_block, float scale, float* out, size_t n);

// The plain loop that defines the result.
void FillNormalRef(uint64_t key, uint64_t stream, uint64_t first_block, float scale, float* out, size_t n);
// The transform: two words to two independent normal numbers times `scale`.
std::array<float, 2> NormalPairRef(uint32_t radius_word, uint32_t angle_word, float scale);

}  // namespace stablelm
