#include "ops/matmul_backward.h"

#include <algorithm>

#include "base/error.h"
#include "ops/cpu/cut_columns.h"
#include "ops/cpu/matmul_amx.h"
#include "ops/cpu/matmul_fast_cpu.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

// Calls body(begin, end, worker) for groups of panels: the tasks of products with AMX tiles.
template <class Body>
void ForPanels(size_t panels, ExecutionContext& exec, const Body& body) {
  const size_t each = TiledTaskPanels(panels, exec.pool().NumThreads());
  exec.pool().ForEach((panels + each - 1) / each, [&](size_t task, size_t worker) {
    body(task * each, std::min(panels, (task + 1) * each), worker);
  });
}

size_t PanelsOf(size_t n) { return (n + kPanelRows - 1) / kPanelRows; }

// Columns of dy and of x whose product is computed at once: fewer for many rows, to bound the memory.
constexpr size_t kMinColumnsAtOnce = 2048;
size_t ColumnsAtOnce(size_t m) {
  return std::max(kMinColumnsAtOnce, kPiecesAtOnce / PiecesOf(m) / kMinColumnsAtOnce * kMinColumnsAtOnce);
}
// Their pieces along the rows, of at most `columns` columns and at most m rows.
size_t ColumnPieces(size_t m, size_t columns) {
  const size_t pieces = PiecesOf(m);
  return std::min(pieces * columns, std::max(kPiecesAtOnce, kMinColumnsAtOnce * pieces));
}

// A part of the operands of dW = dyᵀ x, for the products of ops/cpu: the rows of xᵀ, split into pieces along the rows
// of the batch, and dyᵀ as a packed matrix [N, M]. A line is a row of the batch; with Compute::kFast, dy's lines and,
// for the bf16 instruction and tiles, x's are pairs of rows as words of two bf16 values.
struct Columns {
  bool fast = false, tiles = false, words = false;
  size_t m = 0;
  size_t first_n = 0, n = 0, first_k = 0, k = 0;  // columns of dy and of x
  size_t height = 0;                              // columns of x in memory
  size_t x_lines = 0, dy_lines = 0;
  float* x = nullptr;   // line i of column c: (i / piece * height + c) * stride + i % piece
  float* dy = nullptr;  // line i of panel p: (p * dy_lines + i) * kPanelRows

  Columns(const WeightGradient& in, size_t begin_n, size_t begin_k, float* memory)
      : fast(in.compute == Compute::kFast),
        tiles(fast && TilesInUse()),
        words(tiles || (fast && Bf16InUse())),
        m(static_cast<size_t>(in.x.rows)),
        first_n(begin_n),
        n(std::min(static_cast<size_t>(in.n) - begin_n, ColumnsAtOnce(m))),
        first_k(begin_k),
        k(std::min(static_cast<size_t>(in.k) - begin_k, ColumnsAtOnce(m))),
        height(tiles ? AmxHeight(k, 1) : k) {
    const size_t pairs = (m + 1) / 2;
    x_lines = words ? pairs : fast ? 2 * pairs : m;
    dy_lines = fast ? pairs : m;
    x = memory;
    dy = x + (PiecesOf(m) * height * Stride() + kPanelRows - 1) / kPanelRows * kPanelRows;
  }
  size_t Piece() const { return words ? kMatMulPiece / 2 : kMatMulPiece; }
  size_t Stride() const { return words ? kMatMulPairStride : kMatMulStride; }

  // Columns [begin, begin + count) of a line; begin is a multiple of kPanelRows, and so is count but at the row's end.
  void SetDy(size_t line, size_t begin, const float* values, size_t count) const {
    for (size_t at = 0; at < count; at += kPanelRows) {
      float* const to = dy + ((begin + at) / kPanelRows * dy_lines + line) * kPanelRows;
      const size_t columns = std::min(kPanelRows, count - at);
      std::copy_n(values + at, columns, to);
      std::fill(to + columns, to + kPanelRows, 0.0f);
    }
  }
  // `count` lines from `line` on, all in one piece.
  void SetX(size_t line, const float* const* rows, size_t count) const {
    CutColumns(rows, count, k, Stride(), x + line / Piece() * height * Stride() + line % Piece());
  }
  // What tiles read beyond the last line and column.
  void PadX() const {
    const size_t first = x_lines / Piece() * height, begin = x_lines % Piece(), end = (begin + 15) / 16 * 16;
    for (size_t c = 0; c < k && begin < end; ++c) {
      std::fill(x + (first + c) * Stride() + begin, x + (first + c) * Stride() + end, 0.0f);
    }
    for (size_t piece = 0; piece < PiecesOf(m); ++piece) {
      std::fill(x + (piece * height + k) * Stride(), x + (piece + 1) * height * Stride(), 0.0f);
    }
  }
};

// Rows that are turned into columns together: a line of the processor's cache, or fewer where rows are long.
constexpr size_t kGroup = 16;
size_t GroupOf(size_t width) {
  size_t group = kGroup;
  while (group > 2 && (group + 1) * width > ExecutionContext::kWorkerFloats) group /= 2;
  return group;
}

void PrepareX(const WeightGradient& in, const Columns& to, ExecutionContext& exec) {
  // A layer norm needs the whole row.
  const bool whole = std::holds_alternative<LayerNormWeights>(in.x.prologue);
  const size_t row_width = static_cast<size_t>(in.k), width = whole ? row_width : to.k;
  const size_t from = whole ? 0 : to.first_k, skip = to.first_k - from;
  const size_t group = GroupOf(width);
  STABLELM_CHECK((group + 1) * width <= ExecutionContext::kWorkerFloats);
  const DType as = to.fast ? DType::kBF16 : in.rows_as;
  exec.pool().ForSteps((to.m + group - 1) / group, 1, [&](size_t begin, size_t end, size_t worker) {
    float* const scratch = exec.worker_scratch(worker);
    float* const zeros = scratch + group * width;
    for (size_t g = begin; g < end; ++g) {
      const size_t first = g * group, count = std::min(group, to.m - first);
      const float* rows[kGroup] = {};
      for (size_t i = 0; i < count; ++i) {
        const float* const x = in.x.x + (first + i) * row_width + from;
        rows[i] = TakeRow(in.x.prologue, x, width, as, scratch + i * width) + skip;
      }
      if (!to.fast) {
        to.SetX(first, rows, count);
        continue;
      }
      if (count % 2 == 1) std::fill_n(zeros, to.k, 0.0f), rows[count] = zeros;
      if (to.words) {
        const float* words[kGroup / 2] = {};
        for (size_t i = 0; i < count; i += 2) {
          float* const low = scratch + i * width + skip;
          JoinRows(low, rows[i + 1], to.k, low);
          words[i / 2] = low;
        }
        to.SetX(first / 2, words, (count + 1) / 2);
      } else {  // in the order of the chain
        for (size_t i = 0; i < count; i += 2) std::swap(rows[i], rows[i + 1]);
        to.SetX(first, rows, (count + 1) / 2 * 2);
      }
    }
  });
}

void PrepareDy(const WeightGradient& in, const Columns& to, ExecutionContext& exec) {
  constexpr size_t kBlock = 16 * kPanelRows;  // columns
  const DType as = to.fast ? DType::kBF16 : in.rows_as;
  const size_t stride = static_cast<size_t>(in.n);
  exec.pool().ForSteps(to.dy_lines, 1, [&](size_t begin, size_t end, size_t) {
    float low[kBlock], high[kBlock];
    for (size_t line = begin; line < end; ++line) {
      for (size_t column = 0; column < to.n; column += kBlock) {
        const size_t count = std::min(kBlock, to.n - column);
        const float* const row = in.dy + (to.fast ? 2 * line : line) * stride + to.first_n + column;
        if (as == DType::kF32) {
          to.SetDy(line, column, row, count);
          continue;
        }
        RoundRow(row, count, as, low);
        if (to.fast) {
          const bool pair = 2 * line + 1 < to.m;
          if (pair) RoundRow(row + stride, count, as, high);
          JoinRows(low, pair ? high : nullptr, count, low);
        }
        to.SetDy(line, column, low, count);
      }
    }
  });
}

// The products of a part of the operands.
void MultiplyColumns(const WeightGradient& in, const Columns& columns, ExecutionContext& exec) {
  const size_t k = static_cast<size_t>(in.k), panels = PanelsOf(columns.n);
  const PackedMatrix dy = PackedMatrix::View(columns.fast ? DType::kBF16 : DType::kF32, static_cast<int64_t>(columns.n),
                                             in.x.rows, in.compute, reinterpret_cast<const std::byte*>(columns.dy));
  const ProductOutput out = {.y = in.dw + columns.first_n * k + columns.first_k * kPanelRows,
                             .width = columns.n,
                             .add = in.add,
                             .packed_rows = k};
  if (columns.tiles) {
    const AmxJob job = {.cut = columns.x, .rows = columns.k, .x_parts = 1, .w = &dy, .out = out};
    ForPanels(panels, exec,
              [&](size_t begin, size_t end, size_t worker) { AmxTiled(job, begin, end, exec.worker_scratch(worker)); });
    return;
  }
  if (columns.fast) {
    const FastJob job = {.rows = columns.k, .w = &dy, .out = out, .cut = columns.x, .bf16 = columns.words};
    ForTiledParts(panels, columns.k, exec, [&](const TiledPart& part, size_t worker) {
      FastMatMulTiled(job, part, exec.worker_scratch(worker));
    });
    return;
  }
  const MatMulJob job = {.rows = columns.k, .w = &dy, .out = out, .cut = columns.x};
  ForTiledParts(panels, columns.k, exec,
                [&](const TiledPart& part, size_t worker) { MatMulTiled(job, part, exec.worker_scratch(worker)); });
}

}  // namespace

size_t MatMulBackwardFloats(int64_t m, int64_t n, int64_t k) {
  const size_t rows = static_cast<size_t>(m), outputs = static_cast<size_t>(n), columns = static_cast<size_t>(k);
  const size_t of_x = ColumnPieces(rows, columns) * kMatMulStride + kPanelRows;
  const size_t of_dy = ColumnPieces(rows, PanelsOf(outputs) * kPanelRows) * kMatMulPiece;
  return std::max(of_x + of_dy, PreparedAtOnce(rows, outputs));
}

void MatMulInputGradient(const InputGradient& in, ExecutionContext& exec) {
  const PackedMatrix& w = *in.w;
  const size_t m = static_cast<size_t>(in.m), n = w.rows();
  if (m == 0) return;
  if (const size_t at_once = RowsAtOnce(n); m > at_once) {
    for (size_t begin = 0; begin < m; begin += at_once) {
      InputGradient part = in;
      part.m = static_cast<int64_t>(std::min(at_once, m - begin));
      part.dy += begin * n, part.dx += begin * w.columns();
      MatMulInputGradient(part, exec);
    }
    return;
  }
  STABLELM_CHECK(CutRowsFloats(m, n) <= exec.prepared_capacity());
  const ProductRows rows = {.x = in.dy, .rows = in.m};
  const ProductOutput out = {.y = in.dx, .width = w.columns(), .add = in.add};
  float* const cut = exec.prepared_rows();
  if (w.compute() == Compute::kFast && TilesInUse()) {
    const AmxJob job = {.cut = cut, .rows = m, .x_parts = 1, .w = &w, .out = out};
    TakeRows(rows, n, DType::kF32, exec, [&](size_t i, const float* row) { CutAmxRow(job, row, i, n, cut); });
    ForPanels(PanelsOf(w.columns()), exec, [&](size_t begin, size_t end, size_t worker) {
      AmxTiledTransposed(job, begin, end, exec.worker_scratch(worker));
    });
    return;
  }
  if (w.compute() == Compute::kFast) {
    const FastJob job = {.rows = m, .w = &w, .out = out, .cut = cut, .bf16 = Bf16InUse()};
    TakeRows(rows, n, DType::kF32, exec, [&](size_t i, const float* row) { CutFastRow(row, i, m, n, job.bf16, cut); });
    ForTiledParts(PanelsOf(w.columns()), m, exec, [&](const TiledPart& part, size_t worker) {
      FastMatMulTiledTransposed(job, part, exec.worker_scratch(worker));
    });
    return;
  }
  TakeRows(rows, n, in.rows_as, exec, [&](size_t i, const float* row) { CutRow(row, i, m, n, cut); });
  const MatMulJob job = {.rows = m, .w = &w, .out = out, .cut = cut};
  ForTiledParts(PanelsOf(w.columns()), m, exec, [&](const TiledPart& part, size_t worker) {
    MatMulTiledTransposed(job, part, exec.worker_scratch(worker));
  });
}

void MatMulWeightGradient(const WeightGradient& in, ExecutionContext& exec) {
  const size_t m = static_cast<size_t>(in.x.rows), n = static_cast<size_t>(in.n), k = static_cast<size_t>(in.k);
  if (m == 0) {
    if (!in.add) std::fill_n(in.dw, PanelsOf(n) * k * kPanelRows, 0.0f);
    return;
  }
  STABLELM_CHECK(MatMulBackwardFloats(in.x.rows, in.n, in.k) <= exec.prepared_capacity());
  for (size_t of_x = 0; of_x < k; of_x += ColumnsAtOnce(m)) {
    for (size_t of_dy = 0; of_dy < n; of_dy += ColumnsAtOnce(m)) {
      const Columns columns(in, of_dy, of_x, exec.prepared_rows());
      if (of_dy == 0) PrepareX(in, columns, exec);
      if (of_dy == 0 && columns.tiles) columns.PadX();
      PrepareDy(in, columns, exec);
      MultiplyColumns(in, columns, exec);
    }
  }
}

}  // namespace stablelm
