// The bodies behind MatMul for weights that are not quantized, by the tiles of AMX (TilesInUse()). Internal to ops:
// callers use ops/matmul.h, which says what they compute.
#pragma once

#include <algorithm>
#include <cstddef>

#include "ops/compute.h"
#include "ops/cpu/amx.h"
#include "ops/cpu/matmul_cpu.h"

namespace stablelm {

// Parts of bf16 that x is cut into, each in a row of its own: the sum of an output is that of its parts.
constexpr size_t AmxXParts(Compute compute) { return compute == Compute::kFast ? 1 : 3; }
// Rows of x that are multiplied together.
inline constexpr size_t kAmxRowsAtOnce = 512;

// x in pieces of kMatMulPiece columns: part i of row m in the piece that begins at k0 is row r = m * parts + i, of
// words of two bf16 numbers, the lower column in the lower half, from (k0 / kMatMulPiece * height + r) *
// kMatMulPairStride floats on. A piece ends with zeros, up to whole tiles of 32 columns. `height` are the rows for
// `rows` rows of x: as many, or whole tiles of 16 when they are more than one; what fills them up is zero.
constexpr size_t AmxHeight(size_t rows, size_t x_parts) {
  const size_t height = rows * x_parts;
  return height <= kTileHeight ? height : (height + kTileHeight - 1) / kTileHeight * kTileHeight;
}
constexpr size_t AmxCutFloats(size_t rows, size_t k) {
  return PiecesOf(k) * AmxHeight(std::min(rows, kAmxRowsAtOnce), AmxXParts(Compute::kExact)) * kMatMulPairStride;
}

void AmxMatMul(const MatMulInput& in, ExecutionContext& exec);

}  // namespace stablelm
