// Which SIMD instruction sets the operations were built for, which one is in use, and how to force one.
//
// Every kernel is compiled once per target and selected at run time, never by the machine that compiled it. There is
// one selection per process (Highway stores it): make it before the first operation runs, and never while one runs.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

// Lower-case names, best first: "avx3_amx" (AVX-512 F, BW, DQ, VL, VNNI and the tiles of AMX), "avx3_bf16" (BF16
// instead of AMX), "avx3_vnni" (without BF16), "avx3" (without VNNI), "avx2_vnni" (AVX2 with FMA, F16C and AVX-VNNI),
// "avx2" (without AVX-VNNI), "sse4", "scalar" (any machine). On 64-bit Arm: "neon_dot" (with the dot product of
// Armv8.2), "neon".
std::vector<std::string> BuiltSimdTargets();
// The built targets that this machine can run, best first: "avx3_vnni" comes before "avx3_bf16" where the bf16
// instruction is slower than the fp32 multiply-adds that it replaces. Both give the same bits; ops/matmul.h describes
// what differs with AMX tiles.
std::vector<std::string> UsableSimdTargets();
std::string SimdTargetInUse();
// Selects a target by name; an empty name selects the best one. Throws Error when the name is unknown or the machine
// lacks the target.
void SelectSimdTarget(std::string_view name);

// Whether products of bytes use the dot-product instruction for four bytes (VNNI, AVX-VNNI, Arm's dot product). Highway
// has no such targets: they are variants of "avx3", "avx2" and "neon".
bool ByteDotsInUse();
// Whether products for Compute::kFast use vdpbf16ps.
bool Bf16InUse();
// Whether products use AMX tiles.
bool TilesInUse();

// Floats in one vector of the target in use.
size_t SimdLanes();

namespace internal {
extern bool far_prefetch;
}
// Whether products that stream weights from memory ask for them a second time, further ahead and into the second cache
// level, and read two panels at the same time (ops/cpu/stream_prefetch.h says what that gains). Chosen by the maker of
// the processor; results have the same bits.
inline bool FarPrefetchInUse() { return internal::far_prefetch; }
// Chooses for all threads, nullopt as the machine's maker does. For tests and benchmarks: never while an operation
// runs.
void SelectFarPrefetch(std::optional<bool> far);

}  // namespace stablelm
