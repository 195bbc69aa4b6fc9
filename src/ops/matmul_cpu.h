// The CPU bodies behind MatMul, per SIMD target. Internal to ops: callers use ops/matmul.h.
#pragma once

#include <cstddef>

#include "base/dtype.h"

namespace stablelm {

// Inner length is cut into chunks of this many elements, so that a tile of both operands stays in the first cache
// level.
inline constexpr size_t kMatMulChunk = 768;
// Floats from one row of a chunk to the next: a cache line more than a chunk, since rows a power of two apart would all
// fall into the same set of the first cache level.
inline constexpr size_t kMatMulStride = kMatMulChunk + 16;
// Rows are padded with zeros to a multiple of this, so that no inner loop has a remainder: 0 * 0 added to a chain
// changes nothing.
inline constexpr size_t kMatMulPadding = 16;

// The left matrix repacked: for each chunk of K in turn, its piece of every row, zero-padded at the end of K.
// The piece of row m in chunk c starts at (c * rows + m) * kMatMulStride.
struct PackedRows {
  const float* data = nullptr;
  size_t rows = 0;  // M
  size_t k = 0;     // K

  const float* Piece(size_t m, size_t k0) const { return data + (k0 / kMatMulChunk * rows + m) * kMatMulStride; }
};
constexpr size_t PackedFloats(size_t rows, size_t k) {
  return (k + kMatMulChunk - 1) / kMatMulChunk * rows * kMatMulStride;
}

struct MatMulJob {
  PackedRows x;
  const std::byte* w = nullptr;  // [n_out, K] in w_type
  DType w_type = DType::kF32;
  size_t n_out = 0;
  const float* bias = nullptr;
  float* y = nullptr;  // [M, n_out]
};

// Packs rows [row_begin, row_end) of x ([rows, k], contiguous) into `packed`.
void PackRows(const float* x, size_t rows, size_t k, size_t row_begin, size_t row_end, float* packed);

// Most rows for which the product streams the weights straight from memory (decoding); more rows go through tiles.
inline constexpr size_t kMaxStreamedRows = 4;

// Columns [n_begin, n_end) of y, few rows: limited by memory bandwidth.
void MatMulStreamed(const MatMulJob& job, size_t n_begin, size_t n_end);

// Columns [n_begin, n_end), any number of rows: limited by arithmetic. Works through kTileColumns at a time. `scratch`
// has Workspace::kWorkerFloats floats, 64-byte aligned.
inline constexpr size_t kTileColumns = 24;
void MatMulTiled(const MatMulJob& job, size_t n_begin, size_t n_end, float* scratch);

}  // namespace stablelm
