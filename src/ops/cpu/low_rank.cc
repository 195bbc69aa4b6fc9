// Two ways with the same chains (defined in ops/low_rank.h):
//
// Few rows (decoding): threads share the columns of A, piece by piece, because A has too few rows to share; then the
// panels of B. Every thread adds up the sums of the pieces again: they are a few hundred numbers. Both matrices are
// prefetched, as they come from memory.
//
// Many rows: threads share the rows. A block of rows of x meets all of A and B, which stay in the caches, and z stays
// in the thread's scratch.
#include "ops/low_rank.h"

#include <algorithm>
#include <cstring>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/low_rank.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "base/error.h"
#include "ops/cpu/matmul_cpu.h"
#include "ops/cpu/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

constexpr size_t kLanes = hn::MaxLanes(DF());
constexpr size_t kTileVectors = 2;
#if HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr size_t kTileRows = 14;
#else
constexpr size_t kTileRows = 6;
#endif

// Columns of a panel to prefetch ahead with few rows, 8 KiB: see kPrefetchDistance in quant_products-inl.h. What lies
// after a piece belongs to the next one, or panel; after the last one it is never read.
constexpr size_t kColumnsAhead = 64;
constexpr size_t kMaxSplitRows = 4;  // rows for which threads share the columns of A
constexpr size_t kLineFloats = 16;

// sums [MR, NV vectors] (rows kPanelRows apart) = or += the chain over `width` columns of rows of x and of a panel.
template <size_t MR, size_t NV>
void Tile(const float* HWY_RESTRICT x, size_t x_stride, const float* HWY_RESTRICT w, size_t width, bool first,
          float* HWY_RESTRICT sums) {
  const DF d;
  VF acc[MR][NV];
  STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
    STABLELM_UNROLL for (size_t v = 0; v < NV; ++v) acc[m][v] = hn::Zero(d);
  }
  for (size_t i = 0; i < width; ++i) {
    VF wv[NV];
    STABLELM_UNROLL for (size_t v = 0; v < NV; ++v) wv[v] = hn::LoadU(d, w + i * kPanelRows + v * kLanes);
    if constexpr (MR <= kMaxSplitRows) {
      for (size_t lane = 0; lane < NV * kLanes; lane += kLineFloats) {
        __builtin_prefetch(w + (i + kColumnsAhead) * kPanelRows + lane, 0, 3);
      }
    }
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
      const VF xv = hn::Set(d, x[m * x_stride + i]);
      STABLELM_UNROLL for (size_t v = 0; v < NV; ++v) acc[m][v] = hn::MulAdd(xv, wv[v], acc[m][v]);
    }
  }
  STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
    STABLELM_UNROLL for (size_t v = 0; v < NV; ++v) {
      float* const sum = sums + m * kPanelRows + v * kLanes;
      hn::StoreU(first ? acc[m][v] : hn::Add(hn::LoadU(d, sum), acc[m][v]), d, sum);
    }
  }
}

using TileBody = void (*)(const float*, size_t, const float*, size_t, bool, float*);
template <size_t NV, size_t... MR>
TileBody TileOf(size_t rows, std::index_sequence<MR...>) {
  static constexpr TileBody kBodies[] = {&Tile<MR + 1, NV>...};
  return kBodies[rows - 1];
}

// sums [rows, kPanelRows] = or += the chains of one piece for the first `outputs` outputs of a panel.
void PanelPiece(const float* x, size_t x_stride, size_t rows, const float* w, size_t width, size_t outputs, bool first,
                float* sums) {
  const auto all_rows = std::make_index_sequence<kTileRows>();
  for (size_t m = 0; m < rows; m += kTileRows) {
    const size_t count = std::min(kTileRows, rows - m);
    for (size_t c = 0; c < outputs;) {
      const bool pair = outputs - c > kLanes;
      const TileBody body = pair ? TileOf<kTileVectors>(count, all_rows) : TileOf<1>(count, all_rows);
      body(x + m * x_stride, x_stride, w + c, width, first, sums + m * kPanelRows + c);
      c += (pair ? kTileVectors : 1) * kLanes;
    }
  }
}

// y [n] = fma(scale, sums [n], y [n])
void AddScaled(const float* HWY_RESTRICT sums, size_t n, float scale, float* HWY_RESTRICT y) {
  const DF d;
  const VF s = hn::Set(d, scale);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    hn::StoreU(hn::MulAdd(s, hn::LoadU(d, sums + i), hn::LoadU(d, y + i)), d, y + i);
  }
  if (i == n) return;
  const size_t bytes = (n - i) * sizeof(float);
  HWY_ALIGN float last_sums[kLanes] = {}, last_y[kLanes] = {};
  std::memcpy(last_sums, sums + i, bytes);
  std::memcpy(last_y, y + i, bytes);
  hn::Store(hn::MulAdd(s, hn::Load(d, last_sums), hn::Load(d, last_y)), d, last_y);
  std::memcpy(y + i, last_y, bytes);
}

// y += s B z for panel p and `rows` rows; y begins at the first of them. `sums` is scratch [rows, kPanelRows].
void AddPanel(const LowRankInput& in, size_t p, const float* z, size_t z_stride, size_t rows, float* y, float* sums) {
  const PackedMatrix& b = *in.b;
  const size_t r = b.columns(), n = b.rows(), outputs = b.RowsOf(p);
  const float* const w = reinterpret_cast<const float*>(b.panel(p));
  for (size_t k0 = 0; k0 < r; k0 += kMatMulPiece) {
    PanelPiece(z + k0, z_stride, rows, w + k0 * kPanelRows, std::min(kMatMulPiece, r - k0), outputs, k0 == 0, sums);
  }
  for (size_t m = 0; m < rows; ++m) AddScaled(sums + m * kPanelRows, outputs, in.scale, y + m * n + p * kPanelRows);
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(PanelPiece);
HWY_EXPORT(AddPanel);

constexpr size_t kBlock = 32;          // rows of x that a thread computes together
constexpr size_t kPanelsPerStep = 16;  // of B, with few rows
constexpr size_t kApart = 16;          // floats between rows in scratch: see kMatMulStride
constexpr size_t kMaxRank = kMaxLowRank;
static_assert(kBlock * (kMaxRank + kApart + kMatMulStride + kPanelRows) <= ExecutionContext::kWorkerFloats);

const float* PanelOf(const PackedMatrix& w, size_t p) { return reinterpret_cast<const float*>(w.panel(p)); }

// Few rows. `parts` [pieces, panels of A, m, kPanelRows]
void AddToFewRows(const LowRankInput& in, float* parts, ExecutionContext& exec) {
  const PackedMatrix& a = *in.a;
  const size_t m = static_cast<size_t>(in.m), k = a.columns(), pieces = PiecesOf(k), panels = a.panels();
  const size_t part_floats = m * kPanelRows;
  exec.pool().ForSteps(pieces * panels, 1, [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; ++i) {
      const size_t k0 = i / panels * kMatMulPiece, p = i % panels;
      HWY_DYNAMIC_DISPATCH(PanelPiece)
      (in.x + k0, k, m, PanelOf(a, p) + k0 * kPanelRows, std::min(kMatMulPiece, k - k0), a.RowsOf(p), true,
       parts + i * part_floats);
    }
  });
  exec.pool().ForSteps(in.b->panels(), kPanelsPerStep, [&](size_t begin, size_t end, size_t worker) {
    float* const z = exec.worker_scratch(worker);
    float* const sums = z + m * panels * kPanelRows;
    for (size_t p = 0; p < panels; ++p) {
      for (size_t row = 0; row < m; ++row) {
        float* const to = z + (row * panels + p) * kPanelRows;
        for (size_t piece = 0; piece < pieces; ++piece) {
          const float* const part = parts + (piece * panels + p) * part_floats + row * kPanelRows;
          for (size_t i = 0; i < a.RowsOf(p); ++i) to[i] = piece == 0 ? part[i] : to[i] + part[i];
        }
      }
    }
    for (size_t p = begin; p < end; ++p) HWY_DYNAMIC_DISPATCH(AddPanel)(in, p, z, panels * kPanelRows, m, in.y, sums);
  });
}

// Rows [begin, begin + rows).
void AddToBlock(const LowRankInput& in, size_t begin, size_t rows, float* scratch) {
  const PackedMatrix& a = *in.a;
  const size_t k = a.columns(), r = a.rows(), z_stride = r + kApart;
  float* const z = scratch;                            // [rows, r]
  float* const x_piece = z + rows * z_stride;          // [rows, kMatMulPiece]
  float* const sums = x_piece + rows * kMatMulStride;  // [rows, kPanelRows]
  const float* const x = in.x + begin * k;
  for (size_t k0 = 0; k0 < k; k0 += kMatMulPiece) {
    const size_t width = std::min(kMatMulPiece, k - k0);
    for (size_t m = 0; m < rows; ++m) std::memcpy(x_piece + m * kMatMulStride, x + m * k + k0, width * sizeof(float));
    for (size_t p = 0; p < a.panels(); ++p) {
      const size_t outputs = a.RowsOf(p);
      HWY_DYNAMIC_DISPATCH(PanelPiece)
      (x_piece, kMatMulStride, rows, PanelOf(a, p) + k0 * kPanelRows, width, outputs, true, sums);
      for (size_t m = 0; m < rows; ++m) {
        float* const to = z + m * z_stride + p * kPanelRows;
        for (size_t i = 0; i < outputs; ++i) {
          to[i] = k0 == 0 ? sums[m * kPanelRows + i] : to[i] + sums[m * kPanelRows + i];
        }
      }
    }
  }
  for (size_t p = 0; p < in.b->panels(); ++p) {
    HWY_DYNAMIC_DISPATCH(AddPanel)(in, p, z, z_stride, rows, in.y + begin * in.b->rows(), sums);
  }
}

}  // namespace

void AddLowRank(const LowRankInput& in, ExecutionContext& exec) {
  STABLELM_CHECK(in.a && in.b && in.a->type() == DType::kF32 && in.b->type() == DType::kF32);
  STABLELM_CHECK(in.a->rows() == in.b->columns() && in.a->rows() > 0 && in.a->rows() <= kMaxRank);
  const size_t m = static_cast<size_t>(in.m), threads = exec.pool().NumThreads();
  const size_t parts = PiecesOf(in.a->columns()) * in.a->panels() * m * kPanelRows;
  if (m <= HWY_NAMESPACE::kMaxSplitRows && parts <= exec.prepared_capacity())
    return AddToFewRows(in, exec.prepared_rows(), exec);
  const size_t block = std::clamp<size_t>((m + threads - 1) / threads, 1, kBlock);
  exec.pool().ForEach((m + block - 1) / block, [&](size_t i, size_t worker) {
    AddToBlock(in, i * block, std::min(block, m - i * block), exec.worker_scratch(worker));
  });
}

}  // namespace stablelm
#endif  // HWY_ONCE
