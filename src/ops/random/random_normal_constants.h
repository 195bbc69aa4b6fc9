// Constants shared by the reference and the SIMD kernel of ops/random/random_normal.h. Polynomials of Cephes (logf,
// sinf, cosf).
#pragma once

#include <cstdint>

namespace stablelm::normal {

// u = (top 24 bits + 1/2) / 2^24, in (0, 1].
inline constexpr float kUnit = 0x1p-24f;
// ln u with u = m 2^e, sqrt(1/2) <= m < sqrt(2), x = m - 1: x - x^2/2 + x^3 P(x) + e ln 2, ln 2 in two parts.
inline constexpr uint32_t kSqrtHalfBits = 0x3F3504F3u;
inline constexpr float kLog[9] = {7.0376836292e-2f,  -1.1514610310e-1f, 1.1676998740e-1f,
                                  -1.2420140846e-1f, 1.4249322787e-1f,  -1.6668057665e-1f,
                                  2.0000714765e-1f,  -2.4999993993e-1f, 3.3333331174e-1f};
inline constexpr float kLn2Low = -2.12194440e-4f;
inline constexpr float kLn2High = 0.693359375f;
// The angle, within an eighth of a turn of 0: (top 24 bits as a signed number + 1/2) pi/4 / 2^23, in (-pi/4, pi/4). Bit
// 0 of the word swaps the two coordinates, bit 1 is the sign of the longer one: together they reach every quarter.
inline constexpr float kAngle = 0.78539816339744830961f * 0x1p-23f;
inline constexpr float kSin[3] = {-1.9515295891e-4f, 8.3321608736e-3f, -1.6666654611e-1f};
inline constexpr float kCos[3] = {2.443315711809948e-5f, -1.388731625493765e-3f, 4.166664568298827e-2f};

}  // namespace stablelm::normal
