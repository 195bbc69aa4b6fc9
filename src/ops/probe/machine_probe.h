// Loops that measure what the machine can do, for judging kernels by: reading memory and multiplying.
//
// They compute nothing of use. Their results are returned so that no compiler leaves the work out.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stablelm {

// How far ahead of the reads lines are asked for, with the prefetch instruction, beside what the hardware does itself.
enum class Prefetch : uint8_t { kNo, kNear, kFar };
inline constexpr size_t kPrefetchNearBytes = 512;
inline constexpr size_t kPrefetchFarBytes = 4096;

inline constexpr size_t kMaxStreams = 8;
// What ReadStreams may read behind `bytes`.
inline constexpr size_t kReadSlack = 64 * 1024;

// One thread reads `bytes` bytes from `data` (64-byte aligned, with kReadSlack more bytes readable behind them) as
// `streams` (1, 2, 4 or 8) parts side by side: a piece of each part in turn. Returns a mix of all that was read.
// The parts begin at distances that are no power of two, so that they do not compete for the same cache sets.
uint64_t ReadStreams(const std::byte* data, size_t bytes, size_t streams, Prefetch prefetch);

struct ProbeWork {
  double operations = 0;  // a multiplication and an addition count two
  float mix = 0;
};
// One thread runs `rounds` rounds of fp32 multiply-adds in registers, in enough independent chains to hide the latency.
// Targets without a fused instruction (sse4) use a multiplication and an addition.
ProbeWork RunMultiplyAdds(size_t rounds);
// The same with the target's way to multiply bytes and add the products up, which products of quantized weights use:
// tiles, four products at once (ByteDotsInUse), or sums of products in 16 bits. No operations where the target has
// none.
ProbeWork RunByteProducts(size_t rounds);
// The same with tiles or the instruction that multiplies pairs of bf16 numbers and adds the products to fp32 sums. No
// operations where the target in use has neither.
ProbeWork RunBf16Products(size_t rounds);

}  // namespace stablelm
