// Loops that measure the limits of the machine, against which kernels are judged: memory bandwidth and arithmetic
// throughput.
//
// They compute nothing useful. Their results are returned so that no compiler removes the work.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stablelm {

// Distance of software prefetches ahead of the reads, in addition to hardware prefetching.
enum class Prefetch : uint8_t { kNo, kNear, kFar };
inline constexpr size_t kPrefetchNearBytes = 512;
inline constexpr size_t kPrefetchFarBytes = 4096;

// Bytes that ReadStreams may read past the end of `bytes`.
inline constexpr size_t kReadSlack = 64 * 1024;

// One thread reads `bytes` bytes from `data` (64-byte aligned, with kReadSlack more readable bytes after them) as
// `streams` (1, 2, 4 or 8) parallel streams: a piece of each stream in turn. Returns a mix of everything read. The
// distances between streams are not powers of two, so that they do not compete for the same cache sets.
uint64_t ReadStreams(const std::byte* data, size_t bytes, size_t streams, Prefetch prefetch);

struct ProbeWork {
  double operations = 0;  // a multiplication and an addition count as two
  float mix = 0;
};
// One thread runs `rounds` rounds of fp32 multiply-adds in registers, in enough independent chains to hide the latency.
// Targets without a fused instruction (sse4) use a multiplication and an addition.
ProbeWork RunMultiplyAdds(size_t rounds);
// The same with the target's byte products and their sums, which products of quantized weights use: AMX tiles, four
// products at once (ByteDotsInUse), or 16-bit sums of products. No operations where the target has none.
ProbeWork RunByteProducts(size_t rounds);
// The same with AMX tiles or the instruction that multiplies pairs of bf16 values and adds the products to fp32 sums.
// No operations where the target in use has neither.
ProbeWork RunBf16Products(size_t rounds);

}  // namespace stablelm
