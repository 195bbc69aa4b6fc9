// What products that read weights from memory ask for ahead. Internal to ops.
//
// A core of Intel's waits for 16 cache lines at its first level and for 48 at its second, so that asking near alone
// leaves memory idle: these ask near and, far, into the second level. GB/s on two cores of a processor with AMX, in
// turns with reading alone at 27 to 36 (bench/stream_bench.cc, AVX-512 with VNNI): Q4_K 22.4 -> 25.9, Q6_K 23.5
// -> 27.6, Q4_0 25.4 -> 30.8, Q8_0 23.1 -> 27.4. Where the second level feeds the product, asking far costs up to a
// fourth.
#pragma once

#include <hwy/base.h>

#include <cstddef>

#include "ops/packed_matrix.h"
#include "ops/simd.h"

namespace stablelm {

// Matrices of fewer bytes stay in the second cache level.
inline constexpr size_t kFarPrefetchBytes = size_t{1} << 20;
inline bool AsksFar(const PackedMatrix& w) { return FarPrefetchInUse() && w.bytes() >= kFarPrefetchBytes; }

// For products of floats that read several panels at the same time: bytes ahead in each, near and far.
inline constexpr size_t kStreamAheadNear = 1024, kStreamAheadFar = 4096;
// Asks for what follows the `kBytes` bytes from `from` on, a step of a stream.
template <size_t kBytes>
HWY_INLINE void PrefetchStream(const std::byte* from) {
  constexpr size_t kLine = 64;
  for (size_t b = 0; b < kBytes; b += kLine) {
    __builtin_prefetch(from + kStreamAheadNear + b, 0, 3);
    __builtin_prefetch(from + kStreamAheadFar + b, 0, 2);
  }
}

}  // namespace stablelm
