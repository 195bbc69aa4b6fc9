// Counter-based random normal samples: sample i of a stream is a pure function of (key, stream, i), with the same bits
// on every machine, SIMD target and compiler, for any split of the work.
//
// Philox4x32-10 words (base/random.h) through the Box-Muller transform. Every step is an IEEE operation that rounds
// once (no fused multiply-add) or works on bits, and the polynomials are evaluated in one fixed order; this makes the
// bits portable. Samples reach up to 5.9 standard deviations.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace stablelm {

// Samples come in blocks of 64: 16 Philox counters give four words each. Words 0 and 1 of counter 16 b + l make samples
// 64 b + l and 64 b + 16 + l, words 2 and 3 make 64 b + 32 + l and 64 b + 48 + l.
inline constexpr size_t kNormalBlock = 64;

// Writes scale * sample(64 * first_block + i) to out[i] for i < n. `out` may be at any float address.
void FillNormal(uint64_t key, uint64_t stream, uint64_t first_block, float scale, float* out, size_t n);

// Reference loop that defines the result.
void FillNormalRef(uint64_t key, uint64_t stream, uint64_t first_block, float scale, float* out, size_t n);
// The Box-Muller transform: two words to two independent normal samples, times `scale`.
std::array<float, 2> NormalPairRef(uint32_t radius_word, uint32_t angle_word, float scale);

}  // namespace stablelm
