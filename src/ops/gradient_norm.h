// Sum of squares of a gradient, for its norm and for finding overflow.
#pragma once

#include <cstddef>
#include <span>

#include "ops/execution_context.h"

namespace stablelm {

// Elements of a chunk: sums begin anew at every multiple of it, so parts of a gradient that begin there can be summed
// by anyone.
inline constexpr size_t kNormChunk = 65536;

inline constexpr size_t kNormChains = 16;

// sums[i] = sum over chunk i of x [n] of x^2 in fp64; NaN or infinity when an element is not finite, and only then
// (squares of finite fp32 values cannot overflow fp64, and are exact in it). sums: [ceil(n / kNormChunk)].
//
// The order, and with it every bit, is the same on every target: element i of a chunk belongs to chain i % kNormChains,
// a sum in ascending order from zero; then chain c takes chain c + 8, then c + 4, c + 2, c + 1.
void SumsOfSquares(const float* x, size_t n, std::span<double> sums, ExecutionContext& exec);
// The chunk sums added in order.
double AddChunks(std::span<const double> sums);

}  // namespace stablelm
