// The CPU bodies behind MatMul, per SIMD target. Internal to ops: callers use ops/matmul.h.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/error.h"
#include "ops/matmul.h"

namespace stablelm {

// Rows of x cut along K, piece by piece, for products of many rows: the piece of row m that begins at k0 starts at
// (k0 / kMatMulPiece * rows + m) * kMatMulStride. A stride of a cache line more than a piece, since rows a power of two
// apart would all fall into the same set of the first cache level.
inline constexpr size_t kMatMulStride = kMatMulPiece + 16;
constexpr size_t PiecesOf(size_t k) { return (k + kMatMulPiece - 1) / kMatMulPiece; }
// The stride where elements are words of two bf16 numbers.
inline constexpr size_t kMatMulPairStride = kMatMulPiece / 2 + 16;
constexpr size_t CutRowsFloats(size_t rows, size_t k) { return PiecesOf(k) * rows * kMatMulStride; }

// Cuts row m of `rows`, x [k].
void CutRow(const float* x, size_t m, size_t rows, size_t k, float* cut);

struct MatMulJob {
  const float* x = nullptr;  // [M, K]
  size_t rows = 0;           // M
  const PackedMatrix* w = nullptr;
  const float* bias = nullptr;
  float* y = nullptr;          // [M, N]
  const float* cut = nullptr;  // x as CutRow leaves it; for MatMulTiled
};

// Most rows for which the weights are streamed straight from memory (decoding); more rows go through tiles.
inline constexpr size_t kMaxStreamedRows = 4;
// Panels that one task of a streamed product reads: few, to even out threads of unequal speed, and a multiple of the
// streams.
inline constexpr size_t kStreamedTaskPanels = 4;
// Elements of x below which threads are not worth their start to prepare it.
inline constexpr size_t kSmallWork = size_t{1} << 16;
// take(i, row) for every row of x behind its prologue, by as many threads as they are worth. With a prologue a row lies
// in the worker's scratch, and K is at most ExecutionContext::kWorkerFloats.
template <class Take>
void TakeRows(const MatMulInput& in, ExecutionContext& exec, const Take& take) {
  const size_t m = static_cast<size_t>(in.m), k = in.w->columns();
  const auto rows = [&](size_t begin, size_t end, size_t worker) {
    for (size_t i = begin; i < end; ++i)
      take(i, ApplyPrologueToRow(in.prologue, in.x + i * k, k, exec.worker_scratch(worker)));
  };
  if (m * k < kSmallWork) {
    rows(0, m, 0);
  } else {
    exec.pool().ForSteps(m, 1, rows);
  }
}
// body.operator()<M>() with the rows of a streamed product.
template <class Body>
void WithStreamedRows(size_t rows, const Body& body) {
  static_assert(kMaxStreamedRows == 4);
  switch (rows) {
    case 1:
      return body.template operator()<1>();
    case 2:
      return body.template operator()<2>();
    case 3:
      return body.template operator()<3>();
    case 4:
      return body.template operator()<4>();
    default:
      STABLELM_CHECK(false);
  }
}
// body.operator()<P>(numbers of P panels) for all of [p_begin, p_end): as many at a time, 4 or 2, as registers hold the
// sums of (kFit), far apart, so that memory is read in several streams.
template <size_t kFit, class Body>
void ForStreams(size_t p_begin, size_t p_end, const Body& body) {
  constexpr size_t kStreams = kFit >= 4 ? 4 : kFit >= 2 ? 2 : 1;
  const size_t each = (p_end - p_begin) / kStreams;
  for (size_t i = 0; i < each; ++i) {
    size_t panels[kStreams];
    for (size_t s = 0; s < kStreams; ++s) panels[s] = p_begin + s * each + i;
    body.template operator()<kStreams>(panels);
  }
  for (size_t p = p_begin + kStreams * each; p < p_end; ++p) body.template operator()<1>({p});
}
// Panels [p_begin, p_end) of y, few rows: limited by memory bandwidth.
void MatMulStreamed(const MatMulJob& job, size_t p_begin, size_t p_end);

// Panels [p_begin, p_end), at most kMaxTaskPanels, any number of rows: limited by arithmetic. `scratch` has
// ExecutionContext::kWorkerFloats floats, 64-byte aligned.
inline constexpr size_t kMaxTaskPanels = 8;
// Panels that one task of a tiled product takes: enough tasks to even out threads of unequal speed.
constexpr size_t TiledTaskPanels(size_t panels, size_t threads) {
  return std::clamp<size_t>(panels / (8 * threads), 1, kMaxTaskPanels);
}
void MatMulTiled(const MatMulJob& job, size_t p_begin, size_t p_end, float* scratch);

}  // namespace stablelm
