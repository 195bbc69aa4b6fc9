// Products of fp32 rows with packed weights. Two kernels with the same chains (defined in ops/matmul.h):
//
// Streamed (M <= 4): reads several panels at the same time, so that several streams of memory are busy; the weights are
// widened in registers and used once. Measured: one stream per thread does not reach the memory bandwidth.
//
// Tiled: a panel's piece of K is widened into a buffer that stays in the L1 and L2 caches; register tiles of MR rows by
// two vectors then run over it for all rows of x. Sums of earlier pieces are kept in another buffer.
#include "ops/cpu/matmul_cpu.h"

#include <cstring>
#include <type_traits>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/matmul_cpu.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "base/error.h"
#include "ops/cpu/decode_turned.h"
#include "ops/cpu/load_float-inl.h"
#include "ops/cpu/stream_prefetch.h"
#include "ops/cpu/transpose-inl.h"
#include "ops/cpu/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

constexpr size_t kLanes = hn::MaxLanes(DF());
constexpr size_t kPanelVectors = kPanelRows / kLanes;
// 32 vector registers hold 28 accumulators, two vectors of weights and an element of x; 16 hold 12.
#if HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr size_t kAccumulators = 28;
#else
constexpr size_t kAccumulators = 12;
#endif
constexpr size_t kTileVectors = 2;
constexpr size_t kTileRows = kAccumulators / kTileVectors;
constexpr size_t kTileWidth = kTileVectors * kLanes;  // outputs
static_assert(kPanelRows % kTileWidth == 0);

static_assert(kBlockRows * kMaxTaskPanels * kPanelRows + kMatMulPiece * kPanelRows <= ExecutionContext::kWorkerFloats);

// ------------------------------------------------------------------------------------------------ streamed

// MR rows with NP panels at the same time.
template <typename T, size_t MR, size_t NP>
HWY_INLINE void StreamedPanels(const MatMulJob& job, const size_t (&panels)[NP]) {
  const DF d;
  const size_t k = job.w->columns();
  const bool far = !std::is_same_v<T, float> && AsksFar(*job.w);  // fp32: 3 % slower
  const std::byte* w[NP];
  for (size_t p = 0; p < NP; ++p) w[p] = job.w->panel(panels[p]);
  HWY_ALIGN float totals[NP][MR][kPanelRows];
  for (size_t k0 = 0; k0 < k; k0 += kMatMulPiece) {
    const size_t width = std::min(kMatMulPiece, k - k0);
    VF acc[NP][MR][kPanelVectors];
    STABLELM_UNROLL for (size_t p = 0; p < NP; ++p) {
      STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
        STABLELM_UNROLL for (size_t v = 0; v < kPanelVectors; ++v) acc[p][m][v] = hn::Zero(d);
      }
    }
    const float* HWY_RESTRICT x = job.x + k0;
    for (size_t i = 0; i < width; ++i) {
      VF xv[MR];
      STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) xv[m] = hn::Set(d, x[m * k + i]);
      STABLELM_UNROLL for (size_t p = 0; p < NP; ++p) {
        const std::byte* const column = w[p] + (k0 + i) * kPanelRows * sizeof(T);
        if (far) PrefetchStream<kPanelRows * sizeof(T)>(column);
        STABLELM_UNROLL for (size_t v = 0; v < kPanelVectors; ++v) {
          const VF wv = LoadFloats<T>(d, column + v * kLanes * sizeof(T));
          STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) acc[p][m][v] = hn::MulAdd(xv[m], wv, acc[p][m][v]);
        }
      }
    }
    STABLELM_UNROLL for (size_t p = 0; p < NP; ++p) {
      STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
        STABLELM_UNROLL for (size_t v = 0; v < kPanelVectors; ++v) {
          float* const total = totals[p][m] + v * kLanes;
          hn::Store(k0 == 0 ? acc[p][m][v] : hn::Add(hn::Load(d, total), acc[p][m][v]), d, total);
        }
      }
    }
  }
  for (size_t p = 0; p < NP; ++p) {
    for (size_t m = 0; m < MR; ++m) StoreRow(job.out, m, panels[p], totals[p][m]);
  }
}

template <typename T>
void StreamedOfType(const MatMulJob& job, size_t p_begin, size_t p_end) {
  WithStreamedRows(job.rows, [&]<size_t MR>() HWY_ATTR {
    ForStreams<kAccumulators / (MR * kPanelVectors)>(
        p_begin, p_end, [&]<size_t NP>(const size_t(&panels)[NP]) HWY_ATTR { StreamedPanels<T, MR, NP>(job, panels); });
  });
}

void Streamed(const MatMulJob& job, size_t p_begin, size_t p_end) {
  switch (job.w->type()) {
    case DType::kF32:
      return StreamedOfType<float>(job, p_begin, p_end);
    case DType::kF16:
      return StreamedOfType<F16>(job, p_begin, p_end);
    case DType::kBF16:
      return StreamedOfType<BF16>(job, p_begin, p_end);
    default:
      STABLELM_CHECK(false);
  }
}

// --------------------------------------------------------------------------------------------------- tiled

// Memory to prefetch into the L2 cache: the L1 cache is busy.
struct Ahead {
  const std::byte* from;
  size_t lines;  // at most the columns of a piece
};
constexpr size_t kLine = 64;

// Multiplies MR rows of x (kMatMulStride apart) with kTileWidth outputs over `width` columns of a piece of weights of
// type T. Adds to `sums` (rows kPanelRows apart), or writes them for the first piece. Prefetches `next`, one line per
// column: the processor stalls when many lines are prefetched at once.
template <typename T, size_t MR>
HWY_NOINLINE void Tile(const float* HWY_RESTRICT x, const std::byte* HWY_RESTRICT w, size_t width, bool first,
                       float* HWY_RESTRICT sums, Ahead next) {
  const DF d;
  VF acc[MR][kTileVectors];
  STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
    STABLELM_UNROLL for (size_t v = 0; v < kTileVectors; ++v) acc[m][v] = hn::Zero(d);
  }
  const auto add_column = [&](size_t i) HWY_ATTR __attribute__((always_inline)) {
    VF wv[kTileVectors];
    STABLELM_UNROLL for (size_t v = 0; v < kTileVectors; ++v) wv[v] =
        LoadFloats<T>(d, w + (i * kPanelRows + v * kLanes) * sizeof(T));
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
      const VF xv = hn::Set(d, x[m * kMatMulStride + i]);
      STABLELM_UNROLL for (size_t v = 0; v < kTileVectors; ++v) acc[m][v] = hn::MulAdd(xv, wv[v], acc[m][v]);
    }
  };
  const size_t asking = std::min(width, next.lines);
  for (size_t i = 0; i < asking; ++i) {
    __builtin_prefetch(next.from + i * kLine, 0, 2);
    add_column(i);
  }
  for (size_t i = asking; i < width; ++i) add_column(i);
  STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
    STABLELM_UNROLL for (size_t v = 0; v < kTileVectors; ++v) {
      float* const sum = sums + m * kPanelRows + v * kLanes;
      hn::Store(first ? acc[m][v] : hn::Add(hn::Load(d, sum), acc[m][v]), d, sum);
    }
  }
}

using TileBody = void (*)(const float*, const std::byte*, size_t, bool, float*, Ahead);
template <typename T, size_t... MR>
TileBody TileOfRows(size_t rows, std::index_sequence<MR...>) {
  static constexpr TileBody kBodies[] = {&Tile<T, MR + 1>...};
  return kBodies[rows - 1];
}
template <typename T>
TileBody TileOfRows(size_t rows) {
  return TileOfRows<T>(rows, std::make_index_sequence<kTileRows>());
}

// The weights of a tiled product: `columns()` is the dimension that is summed over. Piece() gives columns [k0, k0 +
// width) of panel p: as stored, or widened or transposed into `buffer` [kMatMulPiece, kPanelRows]. Stored pieces are
// prefetched.
template <typename T>
struct PanelsAsStored {
  using Stored = T;
  const PackedMatrix& w;
  size_t columns() const { return w.columns(); }
  const std::byte* StoredPiece(size_t p, size_t k0) const { return w.panel(p) + k0 * kPanelRows * sizeof(T); }
  // A few tiles read the weights as stored; for more tiles the weights are widened once.
  static bool Copies(size_t tiles) { return tiles > 3 && !std::is_same_v<T, float>; }
  void Copy(size_t p, size_t k0, size_t width, float* buffer) const {
    const DF d;
    const std::byte* const from = StoredPiece(p, k0);
    for (size_t i = 0; i < width * kPanelRows; i += kLanes) {
      hn::Store(LoadFloats<T>(d, from + i * sizeof(T)), d, buffer + i);
    }
  }
};
template <typename T>
struct PanelsOfTranspose {
  using Stored = float;
  const PackedMatrix& w;
  size_t columns() const { return w.rows(); }
  const std::byte* StoredPiece(size_t, size_t) const { return nullptr; }
  static bool Copies(size_t) { return true; }
  void Copy(size_t p, size_t k0, size_t width, float* buffer) const {
    const size_t first = p * kPanelRows, count = std::min(kPanelRows, w.columns() - first);
    for (size_t n = 0; n < width; n += kPanelRows) {
      TransposeBlock<T>(w.panel((k0 + n) / kPanelRows) + first * kPanelRows * sizeof(T), count,
                        buffer + n * kPanelRows);
    }
  }
};

struct PanelsOfQuantTranspose {
  using Stored = float;
  const PackedMatrix& w;
  size_t columns() const { return w.rows(); }
  const std::byte* StoredPiece(size_t, size_t) const { return nullptr; }
  static bool Copies(size_t) { return true; }
  void Copy(size_t p, size_t k0, size_t width, float* buffer) const {
    DecodeTurned(w, p * kPanelRows, k0, width, buffer);
  }
};

template <class Weights>
void TiledOf(const Weights& weights, const MatMulJob& job, const TiledPart& part, float* scratch) {
  const auto [p_begin, p_end, m_begin, m_end] = part;
  using T = typename Weights::Stored;
  const size_t k = weights.columns();
  float* const piece = scratch;                             // [kMatMulPiece, kPanelRows]
  float* const sums = scratch + kMatMulPiece * kPanelRows;  // [panel][row of the block][kPanelRows]
  constexpr size_t kPieceBytes = kMatMulPiece * kPanelRows * sizeof(T);
  for (size_t m0 = m_begin; m0 < m_end; m0 += kBlockRows) {
    const size_t block = std::min(kBlockRows, m_end - m0);
    // Tiles of nearly equal height: a last tile of one or two rows would underuse the processor.
    const size_t tiles = (block + kTileRows - 1) / kTileRows;
    for (size_t k0 = 0; k0 < k; k0 += kMatMulPiece) {
      const size_t width = std::min(kMatMulPiece, k - k0);
      const float* const x_piece = job.cut + (k0 / kMatMulPiece * job.rows + m0) * kMatMulStride;
      for (size_t p = p_begin; p < p_end; ++p) {
        const bool copy = Weights::Copies(tiles);
        const std::byte* const w = copy ? reinterpret_cast<const std::byte*>(piece) : weights.StoredPiece(p, k0);
        const size_t element = copy ? sizeof(float) : sizeof(T);
        if (copy) weights.Copy(p, k0, width, piece);
        // Prefetches the same piece of the next panel, or the next piece of the first panel.
        const bool last_panel = p + 1 == p_end;
        const bool more = !last_panel || k0 + kMatMulPiece < k;
        const std::byte* const next =
            last_panel ? weights.StoredPiece(p_begin, k0 + kMatMulPiece) : weights.StoredPiece(p + 1, k0);
        const size_t next_bytes =
            !more || !next
                ? 0
                : std::min(kPieceBytes, (last_panel ? k - k0 - kMatMulPiece : width) * kPanelRows * sizeof(T));
        const size_t lines = (next_bytes + kLine - 1) / kLine, calls = tiles * (kPanelRows / kTileWidth);
        size_t asked = 0;
        float* const panel_sums = sums + (p - p_begin) * kBlockRows * kPanelRows;
        for (size_t t = 0, m = 0; t < tiles; ++t) {
          const size_t rows = (block - m + (tiles - t) - 1) / (tiles - t);
          const TileBody body = copy ? TileOfRows<float>(rows) : TileOfRows<T>(rows);
          for (size_t c = 0; c < kPanelRows; c += kTileWidth) {
            const size_t more_lines = std::min((lines + calls - 1) / calls, lines - asked);
            body(x_piece + m * kMatMulStride, w + c * element, width, k0 == 0, panel_sums + m * kPanelRows + c,
                 {next + asked * kLine, more_lines});
            asked += more_lines;
          }
          m += rows;
        }
      }
    }
    for (size_t p = p_begin; p < p_end; ++p) {
      const float* const panel_sums = sums + (p - p_begin) * kBlockRows * kPanelRows;
      for (size_t m = 0; m < block; ++m) StoreRow(job.out, m0 + m, p, panel_sums + m * kPanelRows);
    }
  }
}

template <template <typename> class Panels>
void TiledOfPanels(const MatMulJob& job, const TiledPart& part, float* scratch) {
  const PackedMatrix& w = *job.w;
  switch (w.type()) {
    case DType::kF32:
      return TiledOf(Panels<float>{w}, job, part, scratch);
    case DType::kF16:
      return TiledOf(Panels<F16>{w}, job, part, scratch);
    case DType::kBF16:
      return TiledOf(Panels<BF16>{w}, job, part, scratch);
    default:
      STABLELM_CHECK(false);
  }
}

void Tiled(const MatMulJob& job, const TiledPart& part, float* scratch) {
  TiledOfPanels<PanelsAsStored>(job, part, scratch);
}
void TiledTransposed(const MatMulJob& job, const TiledPart& part, float* scratch) {
  if (IsQuantized(job.w->type())) return TiledOf(PanelsOfQuantTranspose{*job.w}, job, part, scratch);
  TiledOfPanels<PanelsOfTranspose>(job, part, scratch);
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(Streamed);
HWY_EXPORT(Tiled);
HWY_EXPORT(TiledTransposed);
}  // namespace

const float* RoundRow(const float* x, size_t k, DType as, float* y) {
  constexpr size_t kBlock = 512;
  std::byte rounded[kBlock * sizeof(uint16_t)];
  for (size_t i = 0; i < k; i += kBlock) {
    const size_t n = std::min(kBlock, k - i);
    ConvertFromFloat(x + i, n, as, rounded);
    ConvertToFloat(as, rounded, n, y + i);
  }
  return y;
}

void CutRow(const float* x, size_t m, size_t rows, size_t k, float* cut) {
  for (size_t k0 = 0; k0 < k; k0 += kMatMulPiece) {
    std::memcpy(cut + (k0 / kMatMulPiece * rows + m) * kMatMulStride, x + k0,
                std::min(kMatMulPiece, k - k0) * sizeof(float));
  }
}

void MatMulStreamed(const MatMulJob& job, size_t p_begin, size_t p_end) {
  HWY_DYNAMIC_DISPATCH(Streamed)(job, p_begin, p_end);
}

void MatMulTiled(const MatMulJob& job, const TiledPart& part, float* scratch) {
  HWY_DYNAMIC_DISPATCH(Tiled)(job, part, scratch);
}

void MatMulTiledTransposed(const MatMulJob& job, const TiledPart& part, float* scratch) {
  HWY_DYNAMIC_DISPATCH(TiledTransposed)(job, part, scratch);
}

}  // namespace stablelm
#endif  // HWY_ONCE
