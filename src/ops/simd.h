// Which SIMD instruction sets the operations were built for, which one is in use, and how to force one.
//
// Every fast body is compiled once per target and chosen at run time, never by the machine that compiled it. The choice
// is one per process (Highway keeps it): it is made before the first operation runs and never while one runs.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

// Lower-case names, best first: "avx3_vnni" (AVX-512 F, BW, DQ, VL and VNNI), "avx3" (without VNNI), "avx2" (with FMA
// and F16C), "sse4", "emu128" (any machine).
std::vector<std::string> BuiltSimdTargets();
// Those of the built ones that this machine can run, best first.
std::vector<std::string> UsableSimdTargets();
std::string SimdTargetInUse();
// Forces a target by name; the empty name goes back to the best one. Throws Error when it is unknown or the machine
// lacks it.
void SelectSimdTarget(std::string_view name);

// Whether integer products use AVX-512 VNNI: Highway knows no such target, so it is a variant of "avx3".
bool VnniInUse();

// Floats in one vector of the target in use.
size_t SimdLanes();

}  // namespace stablelm
