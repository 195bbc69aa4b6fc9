// AMX products of fp32 rows with fp32, fp16 and bf16 weights, in tiles of bf16: ops/matmul.h defines the result.
//
// Weights packed for Compute::kFast are words of two columns, the format of tiles, and are read in place. Others are
// split into bf16 parts, a piece of a panel at a time. Parts of x are rows of their own, so that one kernel multiplies
// all: the tile registers hold 32 rows by 32 outputs, or up to 16 rows. Sums are kept in fp32 in scratch between
// pieces.
#include "ops/cpu/matmul_amx.h"

#include <bit>
#include <cstring>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/matmul_amx.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

#include "base/error.h"
#include "ops/convert.h"
#include "ops/cpu/amx.h"
#include "ops/cpu/load_float-inl.h"
#include "ops/cpu/store_row.h"
#include "ops/cpu/stream_prefetch.h"
#include "ops/cpu/transpose-inl.h"
#include "ops/cpu/unroll.h"
#include "ops/simd.h"

#ifndef STABLELM_OPS_MATMUL_AMX_ONCE_
#define STABLELM_OPS_MATMUL_AMX_ONCE_
namespace stablelm {

// Rows of the split x whose sums are kept in scratch, for kMaxTaskPanels panels.
inline constexpr size_t kAmxBlockRows = 512;

struct AmxFloatScratch {
  union {
    // A piece of a panel: word i of row r of each part, the smallest part first.
    alignas(64) uint32_t words[3][kMatMulPiece / 2][kPanelRows];
    // The same of single steps, with few rows.
    uint32_t steps[4][3][kAmxColumns / 2][kPanelRows];
  };
  alignas(64) float sums[kMaxTaskPanels * kAmxBlockRows][kPanelRows];  // [panel][row]
};
static_assert(sizeof(AmxFloatScratch) <= ExecutionContext::kWorkerFloats * sizeof(float));

}  // namespace stablelm
#endif

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {

#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86_64

namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using DU = hn::RebindToUnsigned<DF>;
using VF = hn::Vec<DF>;
constexpr size_t kLanes = hn::MaxLanes(DF());
constexpr size_t kLine = 64;

// Memory to prefetch: `bytes` bytes from `from`, `each` of them at every step of a piece.
struct StepsAhead {
  const std::byte* from = nullptr;
  size_t bytes = 0, each = 0;

  HWY_INLINE void Ask() {
    const size_t now = std::min(bytes, each);
    for (size_t b = 0; b < now; b += kLine) __builtin_prefetch(from + b, 0, 2);
    from += now, bytes -= now;
  }
};

// Number of bf16 parts of a value: 8 bits each of 24, 11 or 8 significant bits.
template <typename T>
constexpr size_t kPartsOf = std::is_same_v<T, float> ? 3
                            : std::is_same_v<T, F16> ? 2
                                                     : 1;

// Splits columns 2i and 2i + 1 of `width` columns, stored by columns, into words. Each part takes the upper half of the
// bits of the remainder, which loses nothing. Word i of part p, the smallest first, goes to out[p][i].
template <typename T, size_t kWords>
HWY_INLINE void CutPair(const std::byte* HWY_RESTRICT w, size_t i, size_t width, uint32_t (*out)[kWords][kPanelRows]) {
  constexpr size_t kParts = kPartsOf<T>;
  const DF d;
  const DU du;
  const auto upper = hn::Set(du, 0xFFFF0000u);
  for (size_t row = 0; row < kPanelRows; row += kLanes) {
    const auto column = [&](size_t k) HWY_ATTR {
      return k < width ? LoadFloats<T>(d, w + (k * kPanelRows + row) * sizeof(T)) : hn::Zero(d);
    };
    VF low = column(2 * i), high = column(2 * i + 1);
    STABLELM_UNROLL for (size_t part = 0; part < kParts; ++part) {
      const auto low_bits = hn::BitCast(du, low), high_bits = hn::And(hn::BitCast(du, high), upper);
      hn::Store(hn::Or(high_bits, hn::ShiftRight<16>(low_bits)), du, out[kParts - 1 - part][i] + row);
      if (part + 1 == kParts) break;
      low = hn::Sub(low, hn::BitCast(d, hn::And(low_bits, upper)));
      high = hn::Sub(high, hn::BitCast(d, high_bits));
    }
  }
}

// Splits columns [0, width) of a piece into words of `steps` whole steps. Prefetches half of `next`: the products
// prefetch the rest, so that memory is always busy.
template <typename T>
void CutWeights(const std::byte* HWY_RESTRICT w, size_t width, size_t steps, StepsAhead& next, AmxFloatScratch& out) {
  next.each = (next.bytes / 2 / ((width + 1) / 2) + kLine - 1) / kLine * kLine;
  for (size_t i = 0; i < steps * kAmxColumns / 2; ++i) {
    next.Ask();
    CutPair<T>(w, i, width, out.words);
  }
}

// Words of a piece, in the format of tiles.
struct Words {
  const uint32_t* from;
  size_t part;  // words from one part to the next
};

// Multiplies kTiles * 16 rows of x, or up to 16, with a panel over `steps` steps of a piece. Adds to `sums`, or writes
// them when `first`. Tiles 0 to 3 are sums, 4 and 5 x, 6 and 7 weights.
template <size_t kParts, size_t kTiles>
void MultiplyPiece(const float* x, Words w, size_t steps, bool first, float (*sums)[kPanelRows], StepsAhead& next) {
  constexpr size_t kHalf = kPanelRows / 2, kStride = sizeof(sums[0]), kXStride = kMatMulPairStride * sizeof(float);
  static_assert(kTiles <= 2);
  if (first) {
    Tiles::Zero<0>(), Tiles::Zero<1>();
    if constexpr (kTiles == 2) Tiles::Zero<2>(), Tiles::Zero<3>();
  } else {
    Tiles::Load<0>(sums[0], kStride), Tiles::Load<1>(sums[0] + kHalf, kStride);
    if constexpr (kTiles == 2) {
      Tiles::Load<2>(sums[kTileHeight], kStride), Tiles::Load<3>(sums[kTileHeight] + kHalf, kStride);
    }
  }
  for (size_t step = 0; step < steps; ++step) {
    next.Ask();
    Tiles::Load<4>(x + step * kAmxColumns / 2, kXStride);
    if constexpr (kTiles == 2) Tiles::Load<5>(x + kTileHeight * kMatMulPairStride + step * kAmxColumns / 2, kXStride);
    for (size_t part = 0; part < kParts; ++part) {
      const uint32_t* const words = w.from + part * w.part + step * kAmxColumns / 2 * kPanelRows;
      Tiles::Load<6>(words, kStride);
      Tiles::Load<7>(words + kHalf, kStride);
      Tiles::AddBf16<0, 4, 6>();
      Tiles::AddBf16<1, 4, 7>();
      if constexpr (kTiles == 2) {
        Tiles::AddBf16<2, 5, 6>();
        Tiles::AddBf16<3, 5, 7>();
      }
    }
  }
  Tiles::Store<0>(sums[0], kStride), Tiles::Store<1>(sums[0] + kHalf, kStride);
  if constexpr (kTiles == 2) {
    Tiles::Store<2>(sums[kTileHeight], kStride), Tiles::Store<3>(sums[kTileHeight] + kHalf, kStride);
  }
}

// Rows [0, height) of x, in stages of up to 32 rows.
template <size_t kParts>
void MultiplyRows(const float* x, size_t height, Words w, size_t steps, bool first, float (*sums)[kPanelRows],
                  StepsAhead next) {
  constexpr size_t kStageRows = 2 * kTileHeight;
  const size_t stages = (height + kStageRows - 1) / kStageRows;
  next.each = (next.bytes / (stages * steps) + kLine - 1) / kLine * kLine;
  for (size_t r = 0; r < height; r += kStageRows) {
    const auto body = height - r > kTileHeight ? MultiplyPiece<kParts, 2> : MultiplyPiece<kParts, 1>;
    body(x + r * kMatMulPairStride, w, steps, first, sums + r, next);
  }
}

// One piece of a panel: T is a stored type, or uint32_t for words of two bf16 values.
template <typename T>
void MultiplyPanel(const std::byte* w, size_t width, const float* x, size_t height, bool first,
                   float (*sums)[kPanelRows], StepsAhead next, AmxFloatScratch& scratch) {
  constexpr size_t kPartWords = sizeof scratch.words[0] / sizeof(uint32_t);
  if constexpr (std::is_same_v<T, uint32_t>) {
    const auto* const words = reinterpret_cast<const uint32_t*>(w);
    const size_t pairs = (width + 1) / 2, steps = width / kAmxColumns, begun = steps * kAmxColumns / 2;
    if (steps > 0) MultiplyRows<1>(x, height, {words, 0}, steps, first, sums, next);
    if (begun == pairs) return;
    std::memset(scratch.words[0], 0, kAmxColumns / 2 * sizeof scratch.words[0][0]);
    std::memcpy(scratch.words[0], words + begun * kPanelRows, (pairs - begun) * sizeof scratch.words[0][0]);
    MultiplyRows<1>(x + begun, height, {scratch.words[0][0], 0}, 1, first && steps == 0, sums, {});
  } else {
    const size_t steps = (width + kAmxColumns - 1) / kAmxColumns;
    CutWeights<T>(w, width, steps, next, scratch);
    MultiplyRows<kPartsOf<T>>(x, height, {scratch.words[0][0], kPartWords}, steps, first, sums, next);
  }
}

// Adds the sums of the parts of each row of x, the smallest first.
void StoreSums(const AmxJob& job, size_t m_begin, size_t m_end, size_t panel, const float (*sums)[kPanelRows]) {
  const DF d;
  HWY_ALIGN float total[kPanelRows];
  for (size_t m = m_begin; m < m_end; ++m, sums += job.x_parts) {
    if (job.x_parts == 1) {
      StoreRow(job.out, m, panel, *sums);
      continue;
    }
    for (size_t row = 0; row < kPanelRows; row += kLanes) {
      const VF rest = hn::Add(hn::Load(d, sums[2] + row), hn::Load(d, sums[1] + row));
      hn::Store(hn::Add(rest, hn::Load(d, sums[0] + row)), d, total + row);
    }
    StoreRow(job.out, m, panel, total);
  }
}

// All of NP panels with up to 16 * kTiles rows of the split x, as many as the tile registers hold the sums of. Tiles 0
// to 3 are sums, of one panel or of two; 4 to 7 as above. Some columns of a later step are split after each product,
// while it runs: it takes as long as splitting half a step.
template <typename T, size_t kTiles, size_t NP>
void FewRows(const AmxJob& job, const size_t (&panels)[NP], AmxFloatScratch& scratch) {
  static_assert(kTiles * NP <= 2);
  constexpr size_t kHalf = kPanelRows / 2, kStride = kPanelRows * sizeof(float);
  constexpr size_t kXStride = kMatMulPairStride * sizeof(float), kPairs = kAmxColumns / 2;
  constexpr size_t kParts = kPartsOf<T>, kPairBytes = 2 * kPanelRows * sizeof(T), kStepBytes = kPairs * kPairBytes;
  constexpr size_t kAhead = 2, kKept = std::extent_v<decltype(scratch.steps)>;
  const bool far = AsksFar(*job.w);
  const size_t k = job.w->columns(), steps = (k + kAmxColumns - 1) / kAmxColumns, all = steps * NP;
  const std::byte* w[NP];
  for (size_t p = 0; p < NP; ++p) w[p] = job.w->panel(panels[p]);
  // Pairs [begin, end) of step i / NP of panel i % NP.
  const auto cut = [&](size_t i, size_t begin, size_t end) HWY_ATTR {
    if (i >= all) return;
    const size_t step = i / NP, width = std::min(kAmxColumns, k - step * kAmxColumns);
    const std::byte* const from = w[i % NP] + step * kStepBytes;
    for (size_t pair = begin; pair < end; ++pair) {
      if (far) PrefetchStream<kPairBytes>(from + pair * kPairBytes);
      CutPair<T>(from, pair, width, scratch.steps[i % kKept]);
    }
  };
  for (size_t i = 0; i < kAhead; ++i) cut(i, 0, kPairs);
  Tiles::Zero<0>(), Tiles::Zero<1>();
  if constexpr (kTiles * NP == 2) Tiles::Zero<2>(), Tiles::Zero<3>();
  for (size_t step = 0; step < steps; ++step) {
    constexpr size_t kPieceSteps = kMatMulPiece / kAmxColumns;
    const float* const x =
        job.cut + step / kPieceSteps * job.Height() * kMatMulPairStride + step % kPieceSteps * kPairs;
    Tiles::Load<4>(x, kXStride);
    if constexpr (kTiles == 2) Tiles::Load<5>(x + kTileHeight * kMatMulPairStride, kXStride);
    const auto multiply = [&]<size_t p>() HWY_ATTR {
      const size_t i = step * NP + p;
      for (size_t part = 0; part < kParts; ++part) {
        const uint32_t* const words = scratch.steps[i % kKept][part][0];
        Tiles::Load<6>(words, kStride);
        Tiles::Load<7>(words + kHalf, kStride);
        Tiles::AddBf16<2 * p, 4, 6>();
        Tiles::AddBf16<2 * p + 1, 4, 7>();
        if constexpr (kTiles == 2) {
          Tiles::AddBf16<2, 5, 6>();
          Tiles::AddBf16<3, 5, 7>();
        }
        cut(i + kAhead, part * kPairs / kParts, (part + 1) * kPairs / kParts);
      }
    };
    multiply.template operator()<0>();
    if constexpr (NP == 2) multiply.template operator()<1>();
  }
  auto* const sums = scratch.sums;
  Tiles::Store<0>(sums[0], kStride), Tiles::Store<1>(sums[0] + kHalf, kStride);
  if constexpr (kTiles * NP == 2) {
    Tiles::Store<2>(sums[kTileHeight], kStride), Tiles::Store<3>(sums[kTileHeight] + kHalf, kStride);
  }
  for (size_t p = 0; p < NP; ++p) StoreSums(job, 0, job.rows, panels[p], sums + p * kTileHeight);
}

// Panels [p_begin, p_end) with rows [r_begin, r_end) of the split x. Each piece is multiplied with all panels before
// the next, so that the piece of x stays in the L2 cache.
template <typename T>
void AmxBlock(const AmxJob& job, size_t p_begin, size_t p_end, size_t r_begin, size_t r_end, AmxFloatScratch& scratch) {
  constexpr bool kWords = std::is_same_v<T, uint32_t>;
  const size_t k = job.w->columns(), height = r_end - r_begin;
  const auto bytes_of = [](size_t width) {
    return kWords ? (width + 1) / 2 * kPanelRows * sizeof(uint32_t) : width * kPanelRows * sizeof(T);
  };
  const auto width_of = [k](size_t k0) { return std::min(kMatMulPiece, k - k0); };
  for (size_t k0 = 0; k0 < k; k0 += kMatMulPiece) {
    const float* const x = job.cut + (k0 / kMatMulPiece * job.Height() + r_begin) * kMatMulPairStride;
    for (size_t p = p_begin; p < p_end; ++p) {
      // Prefetches the same piece of the next panel, or the next piece of the first panel, or at the end the first
      // piece of panel p_end.
      StepsAhead next;
      if (p + 1 < p_end) {
        next = {.from = job.w->panel(p + 1) + bytes_of(k0), .bytes = bytes_of(width_of(k0))};
      } else if (k0 + kMatMulPiece < k) {
        next = {.from = job.w->panel(p_begin) + bytes_of(k0 + kMatMulPiece),
                .bytes = bytes_of(width_of(k0 + kMatMulPiece))};
      } else if (p_end < job.w->panels()) {
        next = {.from = job.w->panel(p_end), .bytes = bytes_of(width_of(0))};
      }
      MultiplyPanel<T>(job.w->panel(p) + bytes_of(k0), width_of(k0), x, height, k0 == 0,
                       scratch.sums + (p - p_begin) * kAmxBlockRows, next, scratch);
    }
  }
  // Padding rows of the last tile belong to no row of x.
  for (size_t p = p_begin; p < p_end; ++p) {
    StoreSums(job, r_begin / job.x_parts, std::min(r_end / job.x_parts, job.rows), p,
              scratch.sums + (p - p_begin) * kAmxBlockRows);
  }
}

// The same with the columns of W, packed for Compute::kFast: a piece of rows of W is transposed into words.
void TransposedBlock(const AmxJob& job, size_t p_begin, size_t p_end, size_t r_begin, size_t r_end,
                     AmxFloatScratch& scratch) {
  const size_t k = job.w->rows();  // summed
  uint32_t* const words = scratch.words[0][0];
  for (size_t k0 = 0; k0 < k; k0 += kMatMulPiece) {
    const size_t width = std::min(kMatMulPiece, k - k0), steps = (width + kAmxColumns - 1) / kAmxColumns;
    const float* const x = job.cut + (k0 / kMatMulPiece * job.Height() + r_begin) * kMatMulPairStride;
    for (size_t p = p_begin; p < p_end; ++p) {
      TransposePairs(*job.w, p * kPanelRows, k0, width, words);
      MultiplyRows<1>(x, r_end - r_begin, {words, 0}, steps, k0 == 0, scratch.sums + (p - p_begin) * kAmxBlockRows, {});
    }
  }
  for (size_t p = p_begin; p < p_end; ++p) {
    StoreSums(job, r_begin, std::min(r_end, job.rows), p, scratch.sums + (p - p_begin) * kAmxBlockRows);
  }
}

// Calls body(r_begin, r_end, scratch) for blocks of rows of the split x, with the tiles configured.
template <class Body>
void ForAmxBlocks(const AmxJob& job, float* memory, const Body& body) {
  auto& scratch = *new (memory) AmxFloatScratch;
  const size_t height = job.Height();
  TileConfig config;
  for (size_t t = 0; t < 6; ++t) config.Set(t, std::min(height, kTileHeight), kTileRowBytes);
  for (size_t t = 6; t < 8; ++t) config.Set(t, kTileHeight, kTileRowBytes);
  const Tiles tiles(config);
  // Rows per block: whole tiles, and whole rows of x.
  const size_t each = kAmxBlockRows / (kTileHeight * job.x_parts) * kTileHeight * job.x_parts;
  for (size_t r = 0; r < height; r += each) {
    body(r, std::min(height, r + each), scratch);
  }
}

template <typename T>
void AmxOfType(const AmxJob& job, size_t p_begin, size_t p_end, float* memory) {
  ForAmxBlocks(job, memory, [&](size_t r, size_t end, AmxFloatScratch& scratch) HWY_ATTR {
    if constexpr (!std::is_same_v<T, uint32_t>) {
      if (job.Height() <= kTileHeight) {
        return ForStreams<2>(p_begin, p_end, [&]<size_t NP>(const size_t(&panels)[NP]) HWY_ATTR {
          FewRows<T, 1>(job, panels, scratch);
        });
      }
      if (job.Height() <= 2 * kTileHeight) {
        for (size_t p = p_begin; p < p_end; ++p) FewRows<T, 2, 1>(job, {p}, scratch);
        return;
      }
    }
    if (end - r > 2 * kTileHeight) {
      AmxBlock<T>(job, p_begin, p_end, r, end, scratch);
    } else {  // a panel at a time: limited by memory, which is best read in order
      for (size_t p = p_begin; p < p_end; ++p) AmxBlock<T>(job, p, p + 1, r, end, scratch);
    }
  });
}

void AmxTransposed(const AmxJob& job, size_t p_begin, size_t p_end, float* memory) {
  STABLELM_CHECK(job.w->compute() == Compute::kFast && job.x_parts == 1);
  ForAmxBlocks(job, memory, [&](size_t r, size_t end, AmxFloatScratch& scratch) HWY_ATTR {
    TransposedBlock(job, p_begin, p_end, r, end, scratch);
  });
}

void Amx(const AmxJob& job, size_t p_begin, size_t p_end, float* scratch) {
  if (job.w->compute() == Compute::kFast) return AmxOfType<uint32_t>(job, p_begin, p_end, scratch);
  switch (job.w->type()) {
    case DType::kF32:
      return AmxOfType<float>(job, p_begin, p_end, scratch);
    case DType::kF16:
      return AmxOfType<F16>(job, p_begin, p_end, scratch);
    case DType::kBF16:
      return AmxOfType<BF16>(job, p_begin, p_end, scratch);
    default:
      STABLELM_CHECK(false);
  }
}

#else

void Amx(const AmxJob&, size_t, size_t, float*) { STABLELM_CHECK(false); }
void AmxTransposed(const AmxJob&, size_t, size_t, float*) { STABLELM_CHECK(false); }

#endif

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(Amx);
HWY_EXPORT(AmxTransposed);

// Splits `width` columns of a row into its parts in one piece, kMatMulPairStride apart.
void CutAmxPiece(const float* x, size_t width, size_t parts, float* to) {
  uint16_t bits[kMatMulPiece] = {};
  const size_t bytes = (width + kAmxColumns - 1) / kAmxColumns * kAmxColumns * sizeof(uint16_t);
  if (parts == 1) {
    ConvertFromFloat(x, width, DType::kBF16, reinterpret_cast<std::byte*>(bits));
    std::memcpy(to, bits, bytes);
    return;
  }
  float rest[kMatMulPiece];
  std::memcpy(rest, x, width * sizeof(float));
  for (size_t part = 0; part < parts; ++part) {
    for (size_t i = 0; i < width; ++i) {
      const uint32_t all = std::bit_cast<uint32_t>(rest[i]);
      bits[i] = static_cast<uint16_t>(all >> 16);
      rest[i] -= std::bit_cast<float>(all & 0xFFFF0000u);
    }
    std::memcpy(to + part * kMatMulPairStride, bits, bytes);
  }
}

void AmxStreamedMatMul(const MatMulInput& in, ExecutionContext& exec) {
  const PackedMatrix& w = *in.w;
  const size_t m = static_cast<size_t>(in.m), k = w.columns(), stride = AmxXStride(k);
  float* const rounded = exec.prepared_rows();
  TakeRows(in.rows(), k, in.rows_as, exec, [&](size_t i, const float* x) {
    float* const row = rounded + i * stride;
    RoundRow(x, k, DType::kBF16, row);
    std::fill(row + k, row + stride, 0.0f);
  });
  const AmxStreamedJob job = {.x = rounded, .rows = m, .w = &w, .out = OutputOf(in)};
  exec.pool().ForSteps(w.panels(), kStreamedTaskPanels,
                       [&](size_t begin, size_t end, size_t) { AmxStreamed(job, begin, end); });
}

void AmxMatMulRows(const MatMulInput& in, ExecutionContext& exec) {
  const PackedMatrix& w = *in.w;
  const size_t m = static_cast<size_t>(in.m), panels = w.panels();
  const AmxJob job = {
      .cut = exec.prepared_rows(), .rows = m, .x_parts = AmxXParts(w.compute()), .w = &w, .out = OutputOf(in)};
  TakeRows(in.rows(), w.columns(), in.rows_as, exec,
           [&](size_t i, const float* x) { CutAmxRow(job, x, i, w.columns(), exec.prepared_rows()); });
  exec.pool().ForSteps(
      panels, TiledTaskPanels(panels, exec.pool().NumThreads()),
      [&](size_t begin, size_t end, size_t worker) { AmxTiled(job, begin, end, exec.worker_scratch(worker)); });
}

}  // namespace

void CutAmxRow(const AmxJob& job, const float* x, size_t m, size_t k, float* cut) {
  const size_t height = job.Height();
  for (size_t k0 = 0; k0 < k; k0 += kMatMulPiece) {
    float* const piece = cut + k0 / kMatMulPiece * height * kMatMulPairStride;
    CutAmxPiece(x + k0, std::min(kMatMulPiece, k - k0), job.x_parts, piece + m * job.x_parts * kMatMulPairStride);
    const size_t filled = job.rows * job.x_parts;
    if (m + 1 == job.rows) std::fill(piece + filled * kMatMulPairStride, piece + height * kMatMulPairStride, 0.0f);
  }
}

void AmxTiled(const AmxJob& job, size_t p_begin, size_t p_end, float* scratch) {
  HWY_DYNAMIC_DISPATCH(Amx)(job, p_begin, p_end, scratch);
}

void AmxTiledTransposed(const AmxJob& job, size_t p_begin, size_t p_end, float* scratch) {
  HWY_DYNAMIC_DISPATCH(AmxTransposed)(job, p_begin, p_end, scratch);
}

void AmxMatMul(const MatMulInput& in, ExecutionContext& exec) {
  const int64_t rows = static_cast<int64_t>(kAmxRowsAtOnce);
  const int64_t k = static_cast<int64_t>(in.w->columns()), n = static_cast<int64_t>(in.w->rows());
  STABLELM_CHECK(AmxCutFloats(static_cast<size_t>(in.m), in.w->columns()) <= exec.prepared_capacity());
  if (in.w->compute() == Compute::kFast && static_cast<size_t>(in.m) <= kMaxStreamedRows) {
    return AmxStreamedMatMul(in, exec);
  }
  for (int64_t m = 0; m < in.m; m += rows) {
    MatMulInput part = in;
    part.x += m * k, part.y += m * n, part.m = std::min(rows, in.m - m);
    AmxMatMulRows(part, exec);
  }
}

}  // namespace stablelm
#endif  // HWY_ONCE
