// Products of bf16 rows with bf16 weights packed in pairs of columns. The loops are those of ops/cpu/matmul_cpu.cc, the
// chains those that ops/matmul.h defines, in two forms:
//
// Dot: vdpbf16ps, which adds the product of the upper halves of two words to each lane, then that of the lower halves,
// rounding twice. It flushes denormal operands and results to zero in any mode.
//
// Halves: fp32 multiply-adds of the upper halves of the same words, then of the lower ones, in a mode that flushes
// denormals in the same way (FlushDenormals). For long prompts, a panel's piece is widened once, in the order of the
// chain.
#include "ops/cpu/matmul_fast_cpu.h"

#include <cstring>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/matmul_fast_cpu.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

#include "base/error.h"
#include "ops/convert.h"
#include "ops/cpu/flush_denormals.h"
#include "ops/cpu/store_row.h"
#include "ops/cpu/stream_prefetch.h"
#include "ops/cpu/transpose-inl.h"
#include "ops/cpu/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using DU = hn::RebindToUnsigned<DF>;
using VF = hn::Vec<DF>;
using VU = hn::Vec<DU>;

constexpr size_t kLanes = hn::MaxLanes(DF());
constexpr size_t kPanelVectors = kPanelRows / kLanes;
// As in ops/cpu/matmul_cpu.cc.
#if HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr size_t kAccumulators = 28;
#else
constexpr size_t kAccumulators = 12;
#endif
// Up to this many tiles split words into halves themselves; for more the weights are widened once. 16 registers are too
// few for tiles of full height that split words.
constexpr size_t kMaxTilesOfHalves = kAccumulators == 28 ? 3 : 1;
constexpr size_t kTileVectors = 2;
constexpr size_t kTileRows = kAccumulators / kTileVectors;
constexpr size_t kTileWidth = kTileVectors * kLanes;  // outputs
constexpr size_t kTilesAcross = kPanelRows / kTileWidth;
static_assert(kBlockRows * kMaxTaskPanels * kPanelRows + kMatMulPiece * kPanelRows <= ExecutionContext::kWorkerFloats);

constexpr size_t kWordBytes = 2 * sizeof(BF16);

// Operands of a step over one pair of columns.
enum class Form : uint8_t {
  kDot,     // words of x, words of weights
  kHalves,  // fp32 x in the order of the chain, words of weights
  kWide,    // both fp32 in the order of the chain
};
constexpr size_t StrideOf(Form form) { return form == Form::kDot ? kMatMulPairStride : kMatMulStride; }

HWY_INLINE VU LoadWords(const std::byte* HWY_RESTRICT p) {
  return hn::LoadU(DU(), reinterpret_cast<const uint32_t*>(p));
}

// Weights of the chain's step `half` (0 or 1) of pair i, starting at output `row` of the panel.
template <Form form>
HWY_INLINE VF LoadHalf(const std::byte* HWY_RESTRICT w, size_t i, size_t half, size_t row) {
  const DF d;
  if constexpr (form == Form::kWide) {
    return hn::LoadU(d, reinterpret_cast<const float*>(w) + (2 * i + half) * kPanelRows + row);
  } else {
    const VU words = LoadWords(w + (i * kPanelRows + row) * kWordBytes);
    return hn::BitCast(d, half == 0 ? hn::And(words, hn::Set(DU(), 0xFFFF0000u)) : hn::ShiftLeft<16>(words));
  }
}

// acc[m][v] += pair i of the MR rows of x (`stride` apart) times the NV vectors of weights that start at `row`.
template <Form form, size_t MR, size_t NV>
HWY_INLINE void AddPair(const float* HWY_RESTRICT x, size_t stride, const std::byte* HWY_RESTRICT w, size_t i,
                        size_t row, VF (&acc)[MR][NV]) {
  const DF d;
#if HWY_TARGET <= HWY_AVX3
  if constexpr (form == Form::kDot) {
    VU words[NV];
    STABLELM_UNROLL for (size_t v = 0; v < NV; ++v) words[v] =
        LoadWords(w + (i * kPanelRows + row + v * kLanes) * kWordBytes);
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
      const VF pair = hn::Set(d, x[m * stride + i]);  // a word; a broadcast keeps its bits
      // In assembly, because Highway has no target with BF16 and nothing more; the caller has checked the machine.
      STABLELM_UNROLL for (size_t v = 0; v < NV; ++v) {
        asm("vdpbf16ps %2, %1, %0" : "+v"(acc[m][v].raw) : "v"(words[v].raw), "v"(pair.raw));
      }
    }
    return;
  }
#endif
  STABLELM_UNROLL for (size_t half = 0; half < 2; ++half) {
    VF wide[NV];
    STABLELM_UNROLL for (size_t v = 0; v < NV; ++v) wide[v] = LoadHalf<form>(w, i, half, row + v * kLanes);
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
      const VF one = hn::Set(d, x[m * stride + 2 * i + half]);
      STABLELM_UNROLL for (size_t v = 0; v < NV; ++v) acc[m][v] = hn::MulAdd(one, wide[v], acc[m][v]);
    }
  }
}

// sum += acc, or = acc in the first piece.
HWY_INLINE void StoreSum(bool first, VF acc, float* HWY_RESTRICT sum) {
  const DF d;
  hn::StoreU(first ? acc : hn::Add(hn::LoadU(d, sum), acc), d, sum);
}

// ------------------------------------------------------------------------------------------------ streamed

// MR rows with NP panels at the same time.
template <Form form, size_t MR, size_t NP>
HWY_INLINE void StreamedPanels(const FastJob& job, const size_t (&panels)[NP]) {
  const DF d;
  const size_t k = job.w->columns();
  const bool far = AsksFar(*job.w);
  HWY_ALIGN float totals[NP][MR][kPanelRows];
  for (size_t k0 = 0; k0 < k; k0 += kMatMulPiece) {
    const size_t pairs = (std::min(kMatMulPiece, k - k0) + 1) / 2;
    const float* HWY_RESTRICT x = job.cut + k0 / kMatMulPiece * MR * StrideOf(form);
    const std::byte* w[NP];
    VF acc[NP][MR][kPanelVectors];
    STABLELM_UNROLL for (size_t p = 0; p < NP; ++p) {
      w[p] = job.w->panel(panels[p]) + k0 / 2 * kPanelRows * kWordBytes;
      STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
        STABLELM_UNROLL for (size_t v = 0; v < kPanelVectors; ++v) acc[p][m][v] = hn::Zero(d);
      }
    }
    for (size_t i = 0; i < pairs; ++i) {
      STABLELM_UNROLL for (size_t p = 0; p < NP; ++p) {
        if (far) PrefetchStream<kPanelRows * kWordBytes>(w[p] + i * kPanelRows * kWordBytes);
        AddPair<form>(x, StrideOf(form), w[p], i, 0, acc[p]);
      }
    }
    STABLELM_UNROLL for (size_t p = 0; p < NP; ++p) {
      STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
        STABLELM_UNROLL for (size_t v = 0; v < kPanelVectors; ++v)
            StoreSum(k0 == 0, acc[p][m][v], totals[p][m] + v * kLanes);
      }
    }
  }
  for (size_t p = 0; p < NP; ++p) {
    for (size_t m = 0; m < MR; ++m) StoreRow(job.out, m, panels[p], totals[p][m]);
  }
}

template <Form form>
void StreamedOfForm(const FastJob& job, size_t p_begin, size_t p_end) {
  WithStreamedRows(job.rows, [&]<size_t MR>() HWY_ATTR {
    ForStreams<kAccumulators / (MR * kPanelVectors)>(p_begin, p_end,
                                                     [&]<size_t NP>(const size_t(&panels)[NP])
                                                         HWY_ATTR { StreamedPanels<form, MR, NP>(job, panels); });
  });
}

void Streamed(const FastJob& job, size_t p_begin, size_t p_end) {
#if HWY_TARGET <= HWY_AVX3
  if (job.bf16) return StreamedOfForm<Form::kDot>(job, p_begin, p_end);
#endif
  StreamedOfForm<Form::kHalves>(job, p_begin, p_end);
}

// --------------------------------------------------------------------------------------------------- tiled

// Memory to prefetch into the L2 cache: the L1 cache is busy.
struct PieceAhead {
  const std::byte* from;
  size_t bytes;
};
constexpr size_t kLine = 64;
constexpr size_t kPrefetchBytes = 2 * kLine;

// Multiplies MR rows of x with kTileWidth outputs, starting at `row`, over `pairs` pairs of columns. Adds to `sums`
// (rows kPanelRows apart), or writes them for the first piece. `spread`: prefetches kPrefetchBytes of `next` at every
// pair, the bytes of a pair in a panel. The processor stalls when many lines are prefetched at once: with a whole piece
// at once, 16 rows took twice as long. When many tiles share the piece, each prefetches its few lines before it begins.
template <Form form, bool spread, size_t MR>
HWY_NOINLINE void Tile(const float* HWY_RESTRICT x, const std::byte* HWY_RESTRICT w, size_t row, size_t pairs,
                       bool first, float* HWY_RESTRICT sums, PieceAhead next) {
  const DF d;
  VF acc[MR][kTileVectors];
  STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
    STABLELM_UNROLL for (size_t v = 0; v < kTileVectors; ++v) acc[m][v] = hn::Zero(d);
  }
  if constexpr (!spread) {
    for (size_t b = 0; b < next.bytes; b += kLine) __builtin_prefetch(next.from + b, 0, 2);
  }
  for (size_t i = 0; i < pairs; ++i) {
    if constexpr (spread) {
      const size_t at = kPrefetchBytes * i;
      if (at < next.bytes) {
        for (size_t b = 0; b < kPrefetchBytes; b += kLine) __builtin_prefetch(next.from + at + b, 0, 2);
      }
    }
    AddPair<form>(x, StrideOf(form), w, i, row, acc);
  }
  STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
    STABLELM_UNROLL for (size_t v = 0; v < kTileVectors; ++v) {
      StoreSum(first, acc[m][v], sums + m * kPanelRows + row + v * kLanes);
    }
  }
}

using TileBody = void (*)(const float*, const std::byte*, size_t, size_t, bool, float*, PieceAhead);
template <Form form, bool spread, size_t... MR>
TileBody TileOfRows(size_t rows, std::index_sequence<MR...>) {
  static constexpr TileBody kBodies[] = {&Tile<form, spread, MR + 1>...};
  return kBodies[rows - 1];
}
template <Form form>
TileBody TileOfRows(size_t rows, bool spread) {
  constexpr auto kRows = std::make_index_sequence<kTileRows>();
  return spread ? TileOfRows<form, true>(rows, kRows) : TileOfRows<form, false>(rows, kRows);
}
// Spread the prefetches over the columns only when at most this many tiles share a piece.
constexpr size_t kMaxSpreadTiles = 10;

// Widens a piece of a panel to fp32, in the order of the chain.
inline void Widen(const std::byte* HWY_RESTRICT w, size_t pairs, float* HWY_RESTRICT wide) {
  for (size_t i = 0; i < pairs; ++i) {
    for (size_t half = 0; half < 2; ++half) {
      for (size_t row = 0; row < kPanelRows; row += kLanes) {
        hn::StoreU(LoadHalf<Form::kHalves>(w, i, half, row), DF(), wide + (2 * i + half) * kPanelRows + row);
      }
    }
  }
}

// Panels [p_begin, p_end) with rows [m0, m0 + block). Each piece is multiplied with all panels before the next, so that
// the piece of x stays in the caches.
template <Form form>
void TiledBlock(const FastJob& job, size_t p_begin, size_t p_end, size_t m0, size_t block, float* scratch) {
  const size_t k = job.w->columns();
  float* const wide = scratch;                              // [kMatMulPiece, kPanelRows]
  float* const sums = scratch + kMatMulPiece * kPanelRows;  // [panel][row of the block][kPanelRows]
  constexpr size_t kPairBytes = kPanelRows * kWordBytes;    // of a pair in a panel
  // Tiles of nearly equal height: a last tile of one or two rows would underuse the processor.
  const size_t tiles = (block + kTileRows - 1) / kTileRows;
  for (size_t k0 = 0; k0 < k; k0 += kMatMulPiece) {
    const size_t pairs = (std::min(kMatMulPiece, k - k0) + 1) / 2;
    const float* const x_piece = job.cut + (k0 / kMatMulPiece * job.rows + m0) * StrideOf(form);
    for (size_t p = p_begin; p < p_end; ++p) {
      const std::byte* const from = job.w->panel(p) + k0 / 2 * kPairBytes;
      // A few tiles read the weights as stored; for more tiles the weights are widened once.
      const bool widen = form == Form::kHalves && tiles > kMaxTilesOfHalves;
      if (widen) Widen(from, pairs, wide);
      const std::byte* const w = widen ? reinterpret_cast<const std::byte*>(wide) : from;
      // Prefetches the same piece of the next panel, or the next piece of the first panel.
      const bool last_panel = p + 1 == p_end;
      const bool more = !last_panel || k0 + kMatMulPiece < k;
      const std::byte* const next = last_panel ? job.w->panel(p_begin) + (k0 + kMatMulPiece) / 2 * kPairBytes
                                               : job.w->panel(p + 1) + k0 / 2 * kPairBytes;
      const size_t next_pairs = last_panel ? (std::min(kMatMulPiece, k - k0 - kMatMulPiece) + 1) / 2 : pairs;
      const size_t next_bytes = more ? next_pairs * kPairBytes : 0;
      const size_t share = (next_bytes / (tiles * kTilesAcross) + kPrefetchBytes - 1) / kPrefetchBytes * kPrefetchBytes;
      size_t fetched = 0;
      float* const panel_sums = sums + (p - p_begin) * kBlockRows * kPanelRows;
      for (size_t t = 0, m = 0; t < tiles; ++t) {
        const size_t rows = (block - m + (tiles - t) - 1) / (tiles - t);
        const TileBody body = widen ? TileOfRows<Form::kWide>(rows, tiles <= kMaxSpreadTiles)
                                    : TileOfRows<form>(rows, tiles <= kMaxSpreadTiles);
        for (size_t row = 0; row < kPanelRows; row += kTileWidth) {
          const size_t bytes = std::min(share, next_bytes - fetched);
          body(x_piece + m * StrideOf(form), w, row, pairs, k0 == 0, panel_sums + m * kPanelRows,
               {next + fetched, bytes});
          fetched += bytes;
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

// Columns [first, first + kPanelRows) of rows [n0, n0 + rows) of W, transposed, in the order of the chain: as words for
// the bf16 instruction, else as fp32 values.
template <Form form>
void TransposePiece(const PackedMatrix& w, size_t first, size_t n0, size_t rows, float* HWY_RESTRICT to) {
  if constexpr (form == Form::kDot) {
    TransposePairs(w, first, n0, rows, reinterpret_cast<uint32_t*>(to));
  } else {
    ForTransposedPairs(w, first, n0, rows, [&](size_t n, const float* turned) HWY_ATTR {
      for (size_t r = 0; r < kPanelRows; r += 2) {
        const float* const low = turned + r * kPanelRows;
        std::memcpy(to + (n + r) * kPanelRows, low + kPanelRows, kPanelRows * sizeof(float));
        std::memcpy(to + (n + r + 1) * kPanelRows, low, kPanelRows * sizeof(float));
      }
    });
  }
}

// Panels [p_begin, p_end) of the columns of W with rows [m0, m0 + block) of the left matrix, summed over the rows of W.
template <Form form>
void TransposedBlock(const FastJob& job, size_t p_begin, size_t p_end, size_t m0, size_t block, float* scratch) {
  constexpr Form kTile = form == Form::kDot ? Form::kDot : Form::kWide;
  const PackedMatrix& w = *job.w;
  float* const piece = scratch;                             // [kMatMulPiece, kPanelRows]
  float* const sums = scratch + kMatMulPiece * kPanelRows;  // [panel][row of the block][kPanelRows]
  const size_t tiles = (block + kTileRows - 1) / kTileRows;
  for (size_t k0 = 0; k0 < w.rows(); k0 += kMatMulPiece) {
    const size_t width = std::min(kMatMulPiece, w.rows() - k0), pairs = (width + 1) / 2;
    const float* const x_piece = job.cut + (k0 / kMatMulPiece * job.rows + m0) * StrideOf(kTile);
    for (size_t p = p_begin; p < p_end; ++p) {
      TransposePiece<kTile>(w, p * kPanelRows, k0, width, piece);
      float* const panel_sums = sums + (p - p_begin) * kBlockRows * kPanelRows;
      for (size_t t = 0, m = 0; t < tiles; ++t) {
        const size_t rows = (block - m + (tiles - t) - 1) / (tiles - t);
        for (size_t row = 0; row < kPanelRows; row += kTileWidth) {
          TileOfRows<kTile>(rows, false)(x_piece + m * StrideOf(kTile), reinterpret_cast<const std::byte*>(piece), row,
                                         pairs, k0 == 0, panel_sums + m * kPanelRows, {nullptr, 0});
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

void TiledTransposed(const FastJob& job, const TiledPart& part, float* scratch) {
  const auto [p_begin, p_end, m_begin, m_end] = part;
  for (size_t m0 = m_begin; m0 < m_end; m0 += kBlockRows) {
    const size_t block = std::min(kBlockRows, m_end - m0);
#if HWY_TARGET <= HWY_AVX3
    if (job.bf16) {
      TransposedBlock<Form::kDot>(job, p_begin, p_end, m0, block, scratch);
      continue;
    }
#endif
    TransposedBlock<Form::kHalves>(job, p_begin, p_end, m0, block, scratch);
  }
}

void Tiled(const FastJob& job, const TiledPart& part, float* scratch) {
  const auto [p_begin, p_end, m_begin, m_end] = part;
  for (size_t m0 = m_begin; m0 < m_end; m0 += kBlockRows) {
    const size_t block = std::min(kBlockRows, m_end - m0);
#if HWY_TARGET <= HWY_AVX3
    if (job.bf16) {
      TiledBlock<Form::kDot>(job, p_begin, p_end, m0, block, scratch);
      continue;
    }
#endif
    TiledBlock<Form::kHalves>(job, p_begin, p_end, m0, block, scratch);
  }
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(Streamed);
HWY_EXPORT(Tiled);
HWY_EXPORT(TiledTransposed);

// Rounds `width` columns of a row to bf16 and stores them as a row of a piece.
void CutFastPiece(const float* x, size_t width, bool bf16, float* to) {
  BF16 rounded[kMatMulPiece] = {};
  ConvertFromFloat(x, width, DType::kBF16, reinterpret_cast<std::byte*>(rounded));
  const size_t padded = (width + 1) / 2 * 2;
  if (bf16) {
    std::memcpy(to, rounded, padded * sizeof(BF16));
    return;
  }
  for (size_t i = 0; i < padded; i += 2) {
    to[i] = ToFloat(rounded[i + 1]);
    to[i + 1] = ToFloat(rounded[i]);
  }
}
}  // namespace

void CutFastRow(const float* x, size_t m, size_t rows, size_t k, bool bf16, float* cut) {
  const size_t stride = bf16 ? kMatMulPairStride : kMatMulStride;
  for (size_t k0 = 0; k0 < k; k0 += kMatMulPiece) {
    CutFastPiece(x + k0, std::min(kMatMulPiece, k - k0), bf16, cut + (k0 / kMatMulPiece * rows + m) * stride);
  }
}

void FastMatMulStreamed(const FastJob& job, size_t p_begin, size_t p_end) {
  const FlushDenormals flush;
  HWY_DYNAMIC_DISPATCH(Streamed)(job, p_begin, p_end);
}

void FastMatMulTiledTransposed(const FastJob& job, const TiledPart& part, float* scratch) {
  const FlushDenormals flush;
  HWY_DYNAMIC_DISPATCH(TiledTransposed)(job, part, scratch);
}

void FastMatMulTiled(const FastJob& job, const TiledPart& part, float* scratch) {
  const FlushDenormals flush;
  HWY_DYNAMIC_DISPATCH(Tiled)(job, part, scratch);
}

}  // namespace stablelm
#endif  // HWY_ONCE
