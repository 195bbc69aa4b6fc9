// CPU kernels behind MatMul, per SIMD target. Internal to ops: callers use ops/matmul.h.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/error.h"
#include "ops/convert.h"
#include "ops/cpu/store_row.h"
#include "ops/matmul.h"

namespace stablelm {

// x split along K into pieces, for products of many rows: the piece of row m from column k0 starts at float (k0 /
// kMatMulPiece * rows + m) * kMatMulStride. The stride is a cache line more than a piece, because rows a power of two
// apart would all map to the same set of the L1 cache.
inline constexpr size_t kMatMulStride = kMatMulPiece + 16;
constexpr size_t PiecesOf(size_t k) { return (k + kMatMulPiece - 1) / kMatMulPiece; }
// The stride where elements are words of two bf16 values.
inline constexpr size_t kMatMulPairStride = kMatMulPiece / 2 + 16;
constexpr size_t CutRowsFloats(size_t rows, size_t k) { return PiecesOf(k) * rows * kMatMulStride; }

// Rows of at most k columns that a product prepares at once. It computes longer batches part by part, so that their
// length does not decide how much memory it needs.
inline constexpr size_t kMinRowsAtOnce = 1024, kPiecesAtOnce = 65536;  // 71 MB
constexpr size_t RowsAtOnce(size_t k) {
  return std::max(kMinRowsAtOnce, kPiecesAtOnce / PiecesOf(k) / kMinRowsAtOnce * kMinRowsAtOnce);
}
// Floats that this takes for products of at most `rows` rows of at most k columns.
constexpr size_t PreparedAtOnce(size_t rows, size_t k) {
  const size_t pieces = PiecesOf(k);
  return std::min(rows * pieces, std::max(kPiecesAtOnce, kMinRowsAtOnce * pieces)) * kMatMulStride;
}

// y [k] = x [k] rounded to fp16 or bf16; may be x. Returns y.
const float* RoundRow(const float* x, size_t k, DType as, float* y);
// Splits x [k], row m of `rows`, into pieces.
void CutRow(const float* x, size_t m, size_t rows, size_t k, float* cut);

struct MatMulJob {
  const float* x = nullptr;  // [M, K]
  size_t rows = 0;           // M
  const PackedMatrix* w = nullptr;
  ProductOutput out;
  const float* cut = nullptr;  // x as split by CutRow, for MatMulTiled
};
inline ProductOutput OutputOf(const MatMulInput& in) {
  return {.y = in.y, .width = in.w->rows(), .bias = in.bias, .add = in.add};
}

// Maximum rows for which the weights are streamed straight from memory (decoding); products of more rows are tiled.
inline constexpr size_t kMaxStreamedRows = 4;
// Panels per task of a streamed product: few, to balance threads of unequal speed, and a multiple of the number of
// streams.
inline constexpr size_t kStreamedTaskPanels = 4;
// Below this many elements of x, one thread prepares it: waking the others would cost more than it saves.
inline constexpr size_t kSmallWork = size_t{1} << 16;
// x [k] after the prologue and rounded to `as`: in place, or in `scratch` [k].
inline const float* TakeRow(const Prologue& prologue, const float* x, size_t k, DType as, float* scratch) {
  const float* const row = ApplyPrologueToRow(prologue, x, k, scratch);
  if (as == DType::kF32) return row;
  STABLELM_CHECK(k <= ExecutionContext::kWorkerFloats);
  return RoundRow(row, k, as, scratch);
}
// Calls take(i, row) for every row of the left matrix [rows, k] after its prologue, rounded to `as`, on one thread or
// all (kSmallWork). A row that changes is in the worker's scratch, and k is then at most
// ExecutionContext::kWorkerFloats.
template <class Take>
void TakeRows(const ProductRows& rows, size_t k, DType as, ExecutionContext& exec, const Take& take) {
  const size_t m = static_cast<size_t>(rows.rows);
  const auto some = [&](size_t begin, size_t end, size_t worker) {
    for (size_t i = begin; i < end; ++i) {
      take(i, TakeRow(rows.prologue, rows.x + i * k, k, as, exec.worker_scratch(worker)));
    }
  };
  if (m * k < kSmallWork) {
    some(0, m, 0);
  } else {
    exec.pool().ForSteps(m, 1, some);
  }
}
// Calls body.operator()<M>(), where M is the number of rows of a streamed product.
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
// Calls body.operator()<P>(indices of P panels) for all panels of [p_begin, p_end): 4 or 2 at a time, as far as
// registers can hold their sums (kFit), and far apart, so that memory is read in several streams.
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
// Computes panels [p_begin, p_end) of y for few rows: limited by memory bandwidth.
void MatMulStreamed(const MatMulJob& job, size_t p_begin, size_t p_end);

// Panels of a tiled product that a task computes, at most.
inline constexpr size_t kMaxTaskPanels = 8;
// Rows per pass of a tiled product; bounds the scratch memory.
inline constexpr size_t kBlockRows = 256;
// Panels per task of a tiled product: enough tasks to balance threads of unequal speed.
constexpr size_t TiledTaskPanels(size_t panels, size_t threads) {
  return std::clamp<size_t>(panels / (8 * threads), 1, kMaxTaskPanels);
}
// The part of a tiled product that one task computes: panels [p_begin, p_end) of rows [m_begin, m_end).
struct TiledPart {
  size_t p_begin = 0, p_end = 0;
  size_t m_begin = 0, m_end = 0;  // m_begin is a multiple of kBlockRows
};
// Calls body(part, worker) for the parts of a product of `rows` rows. A task of few panels reads all rows for little
// arithmetic, so a product of few panels is split along its rows instead; tasks of the same panels follow each other.
template <class Body>
void ForTiledParts(size_t panels, size_t rows, ExecutionContext& exec, const Body& body) {
  const size_t threads = exec.pool().NumThreads();
  const bool split = TiledTaskPanels(panels, threads) < kMaxTaskPanels && rows > kBlockRows;
  const size_t blocks = split ? (rows + kBlockRows - 1) / kBlockRows : 1;
  const size_t each = TiledTaskPanels(panels * blocks, threads), groups = (panels + each - 1) / each;
  exec.pool().ForEach(groups * blocks, [&](size_t task, size_t worker) {
    const size_t p = task / blocks * each, m = task % blocks * kBlockRows;
    body(TiledPart{p, std::min(panels, p + each), m, split ? std::min(rows, m + kBlockRows) : rows}, worker);
  });
}
// Computes a part: limited by arithmetic. `scratch` has ExecutionContext::kWorkerFloats floats, 64-byte aligned.
void MatMulTiled(const MatMulJob& job, const TiledPart& part, float* scratch);
// The same with Wᵀ: sums over the rows of W, and panels are of its columns. W is transposed piece by piece.
void MatMulTiledTransposed(const MatMulJob& job, const TiledPart& part, float* scratch);

}  // namespace stablelm
