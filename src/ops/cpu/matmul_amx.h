// AMX kernels behind MatMul for weights that are not quantized (TilesInUse()). Internal to ops: callers use
// ops/matmul.h, which defines the result.
#pragma once

#include <algorithm>
#include <cstddef>

#include "ops/compute.h"
#include "ops/cpu/amx.h"
#include "ops/cpu/matmul_cpu.h"

namespace stablelm {

// Number of bf16 parts that x is split into, each a row of its own; an output is the sum of the outputs of its parts.
constexpr size_t AmxXParts(Compute compute) { return compute == Compute::kFast ? 1 : 3; }
// Columns of a step.
inline constexpr size_t kAmxColumns = 32;
// Rows of x that are multiplied in one pass.
inline constexpr size_t kAmxRowsAtOnce = 512;

// Layout of the split x, in pieces of kMatMulPiece columns. Part i of row m is row r = m * parts + i; its piece from
// column k0 starts at float (k0 / kMatMulPiece * height + r) * kMatMulPairStride and consists of words of two bf16
// values, the lower column in the lower half. A piece is padded with zeros to whole tiles of 32 columns. `height` is
// rows * parts, rounded up to whole tiles of 16 when it is more than one tile; the padding rows are zero.
constexpr size_t AmxHeight(size_t rows, size_t x_parts) {
  const size_t height = rows * x_parts;
  return height <= kTileHeight ? height : (height + kTileHeight - 1) / kTileHeight * kTileHeight;
}
// Floats from one row of x to the next where vectors multiply: whole steps, padded with zeros.
constexpr size_t AmxXStride(size_t k) { return (k + kAmxColumns - 1) / kAmxColumns * kAmxColumns; }
constexpr size_t AmxCutFloats(size_t rows, size_t k) {
  return std::max(
      PiecesOf(k) * AmxHeight(std::min(rows, kAmxRowsAtOnce), AmxXParts(Compute::kExact)) * kMatMulPairStride,
      std::min(rows, kMaxStreamedRows) * AmxXStride(k));
}

void AmxMatMul(const MatMulInput& in, ExecutionContext& exec);

struct AmxJob {
  const float* cut = nullptr;  // x, split as above
  size_t rows = 0;             // M, of this part of x
  size_t x_parts = 0;
  const PackedMatrix* w = nullptr;
  ProductOutput out;  // of this part of x

  size_t Height() const { return AmxHeight(rows, x_parts); }
};
// Splits x [k], row m of the job's; the last row also zeroes the padding rows of the last tile.
void CutAmxRow(const AmxJob& job, const float* x, size_t m, size_t k, float* cut);
// As MatMulTiled and MatMulTiledTransposed, for all rows of panels [p_begin, p_end), at most kMaxTaskPanels; the latter
// for weights packed for Compute::kFast.
void AmxTiled(const AmxJob& job, size_t p_begin, size_t p_end, float* scratch);
void AmxTiledTransposed(const AmxJob& job, size_t p_begin, size_t p_end, float* scratch);

struct AmxStreamedJob {
  const float* x = nullptr;         // [rows, AmxXStride(K)], rounded to bf16
  size_t rows = 0;                  // at most kMaxStreamedRows
  const PackedMatrix* w = nullptr;  // packed for Compute::kFast
  ProductOutput out;
};
// Panels [p_begin, p_end) of y for few rows, without tiles and with their bits: limited by memory bandwidth.
void AmxStreamed(const AmxStreamedJob& job, size_t p_begin, size_t p_end);

}  // namespace stablelm
