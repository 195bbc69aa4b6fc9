// Products of many rows of x with quantized weights: prompts, and batched decoding. Included once per SIMD target by
// the two files that compile it for their types of blocks; one file took the compiler twice as long.
//
// Unpacks 256 columns of a panel at a time into bytes that stay in the L1 cache; register tiles of a few rows of x then
// run over them. Sums are kept in a per-thread buffer between blocks.
#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "ops/cpu/matmul_quant_cpu.h"
#include "ops/cpu/quant_products-inl.h"
#include "ops/execution_context.h"
#include "ops/quant/blocks.h"

#ifndef STABLELM_OPS_MATMUL_QUANT_TILED_ONCE_
#define STABLELM_OPS_MATMUL_QUANT_TILED_ONCE_
namespace stablelm {

// 256 columns of a panel, or fewer at the end of rows of small blocks: word i of row r is words[plane][i][r].
struct UnpackedColumns {
  alignas(64) int32_t words[2][kSuperBlock / 4][kPanelRows];  // second plane: upper nibbles of Q8_0, with kPairs
  alignas(64) int32_t factors[16][kPanelRows];                // of sub-blocks, for AddScaled
  alignas(64) int32_t pairs[8][kPanelRows];                   // Q6_K with kPairs: factors of two sub-blocks each
  alignas(64) int32_t minimums[2][kPanelRows];                // of Q4_K and Q5_K, four sub-blocks to a word
  alignas(64) float scales[8][kPanelRows];                    // d of each block; of Q4_K and Q5_K d, then dmin
};

// Rows of x whose sums are kept in scratch: bounds the scratch of a task, and their blocks stay in the L2 cache.
inline constexpr size_t kQuantBlockRows = 256;
static_assert(sizeof(UnpackedColumns) + kQuantBlockRows * kPanelRows * sizeof(float) <=
              ExecutionContext::kWorkerFloats * sizeof(float));

}  // namespace stablelm
#endif

#if defined(STABLELM_OPS_MATMUL_QUANT_TILED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STABLELM_OPS_MATMUL_QUANT_TILED_INL_H_
#undef STABLELM_OPS_MATMUL_QUANT_TILED_INL_H_
#else
#define STABLELM_OPS_MATMUL_QUANT_TILED_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {

// Rows and vectors of a register tile: 32 registers hold 12 sums, 12 scaled sums, two vectors of weights and one of x;
// 16 hold 6 and 6.
#if HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr size_t kTileRows = 6, kTileVectors = 2;
#else
constexpr size_t kTileRows = 6, kTileVectors = 1;
#endif
static_assert(kPanelRows % (kTileVectors * kLanes) == 0);

// ------------------------------------------------------------------------------------------------------ unpacking

// Unpacks a small block as block `b` of `out`.
template <QuantMultiply kWay>
void UnpackSmall(DType type, const std::byte* w, size_t b, UnpackedColumns& out) {
  constexpr size_t kQuants = PackedBlock<DType::kQ8_0>::kQuants;
  static_assert(kQuants == PackedBlock<DType::kQ4_0>::kQuants);
  for (size_t row = 0; row < kPanelRows; row += kLanes) {
    StoreScale(PackedHalf(w, 0, row), out.scales[b], row);
    for (size_t i = 0; i < 8; ++i) {
      if (type == DType::kQ4_0) {
        const VI both = PackedWord(w + kQuants, i % 4, row);
        StoreWord(i < 4 ? LowNibbles(both) : HighNibbles(both), out.words[0][8 * b + i], row);
        continue;
      }
      const VI word = SmallQuants<kWay>(PackedWord(w + kQuants, i, row));
      if constexpr (kWay == QuantMultiply::kPairs) {
        StoreWord(LowNibbles(word), out.words[0][8 * b + i], row);
        StoreWord(HighNibbles(word), out.words[1][8 * b + i], row);
      } else {
        StoreWord(word, out.words[0][8 * b + i], row);
      }
    }
  }
}

template <DType kType, QuantMultiply kWay>
void UnpackAffineBlock(const std::byte* w, UnpackedColumns& out) {
  using Packed = PackedBlock<kType>;
  for (size_t row = 0; row < kPanelRows; row += kLanes) {
    StoreScale(PackedHalf(w, 0, row), out.scales[0], row);
    StoreScale(PackedHalf(w, 1, row), out.scales[1], row);
    const AffineFactors factors = UnpackAffine(w + Packed::kScales, row);
    Unroll<2>([&](auto i) STABLELM_INLINE_LAMBDA { StoreWord(factors.minimum[i], out.minimums[i], row); });
    Unroll<8>([&](auto j) STABLELM_INLINE_LAMBDA {
      StoreWord(UnsignedFactor<kWay, j % 4>(factors.scale[j / 4]), out.factors[j], row);
    });
    ForAffineQuants<kType>(w, row, [&](auto j, size_t i, VI quants) STABLELM_INLINE_LAMBDA {
      StoreWord(quants, out.words[0][8 * j + i], row);
    });
  }
}

template <QuantMultiply kWay>
void UnpackQ6_K(const std::byte* w, UnpackedColumns& out) {
  using Packed = PackedBlock<DType::kQ6_K>;
  for (size_t row = 0; row < kPanelRows; row += kLanes) {
    StoreScale(PackedHalf(w, 0, row), out.scales[0], row);
    for (size_t quarter = 0; quarter < 4; ++quarter) {
      const VI factors = PackedWord(w + Packed::kScales, quarter, row);
      Unroll<4>([&](auto i) STABLELM_INLINE_LAMBDA {
        StoreWord(SignedFactor<kWay, i>(factors), out.factors[4 * quarter + i], row);
      });
#if STABLELM_HAS_PAIRS
      if constexpr (kWay == QuantMultiply::kPairs) {
        StoreWord(SignedHalves<0, 1>(factors), out.pairs[2 * quarter], row);
        StoreWord(SignedHalves<2, 3>(factors), out.pairs[2 * quarter + 1], row);
      }
#endif
    }
    ForSixQuants(w, row, [&](auto j, size_t i, VI quants) STABLELM_INLINE_LAMBDA {
      StoreWord(quants, out.words[0][4 * j + i], row);
    });
  }
}

// ----------------------------------------------------------------------------------------------------------- tiles

// The rows of x of a tile, from row `row` on, and their `blocks` blocks in the unpacked columns, from block `block` on.
struct TileRows {
  const QuantizedRows* x;
  size_t block, blocks, row;
  const int32_t* Words(size_t b, size_t m) const {
    return reinterpret_cast<const int32_t*>(x->Quants(block + b, row + m));
  }
};

// Multiplies kWords words of each plane of weights (UnpackedColumns::words) with those of x, whose rows are `x_stride`
// words apart, and adds the products to `sum`. Unrolled by hand: otherwise g++ 12 keeps a loop for Q8_0 with kPairs,
// with a move between registers for every sum.
template <QuantMultiply kWay, size_t kWords, size_t kPlanes, size_t MR>
HWY_INLINE void TileSums(const int32_t* const (&w)[kPlanes], const int32_t* HWY_RESTRICT x, size_t x_stride,
                         VI (&sum)[kPlanes][MR][kTileVectors]) {
  const DI d;
  Unroll<kWords>([&](auto i) STABLELM_INLINE_LAMBDA {
    VI wv[kPlanes][kTileVectors];
    Unroll<kPlanes>([&](auto plane) STABLELM_INLINE_LAMBDA {
      Unroll<kTileVectors>(
          [&](auto v) STABLELM_INLINE_LAMBDA { wv[plane][v] = hn::Load(d, w[plane] + i * kPanelRows + v * kLanes); });
    });
    Unroll<MR>([&](auto m) STABLELM_INLINE_LAMBDA {
      const VI xv = hn::Set(d, x[m * x_stride + i]);
      Unroll<kPlanes>([&](auto plane) STABLELM_INLINE_LAMBDA {
        Unroll<kTileVectors>([&](auto v) STABLELM_INLINE_LAMBDA { AddWord<kWay>(sum[plane][m][v], wv[plane][v], xv); });
      });
    });
  });
}

template <size_t MR, class Body>
HWY_INLINE void ForTile(const Body& body) {
  Unroll<MR>([&](auto m)
                 STABLELM_INLINE_LAMBDA { Unroll<kTileVectors>([&](auto v) STABLELM_INLINE_LAMBDA { body(m, v); }); });
}

// Q8_0 and Q4_0: a fold for every 32 columns.
template <DType kType, QuantMultiply kWay, size_t MR>
HWY_NOINLINE void SmallTile(const TileRows& rows, const UnpackedColumns& w, float* HWY_RESTRICT sums) {
  const DI d;
  const DF df;
  constexpr size_t kBlockWords = kSmallBlock / 4;
  constexpr size_t kPlanes = kType == DType::kQ8_0 && kWay == QuantMultiply::kPairs ? 2 : 1;
  for (size_t row = 0; row < kPanelRows; row += kTileVectors * kLanes) {
    VF acc[MR][kTileVectors];
    ForTile<MR>([&](auto m, auto v)
                    STABLELM_INLINE_LAMBDA { acc[m][v] = hn::Load(df, sums + m * kPanelRows + row + v * kLanes); });
    for (size_t b = 0; b < rows.blocks; ++b) {
      const int32_t* const x = rows.Words(b, 0);
      const int32_t* const offsets = rows.x->Offsets(rows.block + b, rows.row);
      const float* const x_scale = rows.x->Scale(rows.block + b, rows.row);
      const int32_t* words[kPlanes];
      Unroll<kPlanes>([&](auto plane) STABLELM_INLINE_LAMBDA { words[plane] = w.words[plane][kBlockWords * b] + row; });
      VI sum[kPlanes][MR][kTileVectors];
      ForTile<MR>([&](auto m, auto v) STABLELM_INLINE_LAMBDA {
        constexpr bool kFromOffset = kWay != QuantMultiply::kPairs;
        sum[0][m][v] = kFromOffset ? SmallOffset<kType, kWay>(offsets + m) : hn::Zero(d);
        if constexpr (kPlanes == 2) sum[1][m][v] = hn::Zero(d);
      });
      TileSums<kWay, kBlockWords>(words, x, kBlockWords, sum);
      if constexpr (kWay == QuantMultiply::kPairs) {
        ForTile<MR>([&](auto m, auto v) STABLELM_INLINE_LAMBDA {
          VI& total = sum[0][m][v];
          total = AddSum<kWay>(SmallOffset<kType, kWay>(offsets + m), total);
          if constexpr (kPlanes == 2) total = AddScaled<kWay>(total, ConstantFactor<kWay>(16), sum[1][m][v]);
        });
      }
      VF scale[kTileVectors];
      Unroll<kTileVectors>([&](auto v)
                               STABLELM_INLINE_LAMBDA { scale[v] = hn::Load(df, w.scales[b] + row + v * kLanes); });
      ForTile<MR>([&](auto m, auto v)
                      STABLELM_INLINE_LAMBDA { acc[m][v] = Fold(acc[m][v], sum[0][m][v], scale[v], x_scale + m); });
    }
    ForTile<MR>([&](auto m, auto v)
                    STABLELM_INLINE_LAMBDA { hn::Store(acc[m][v], df, sums + m * kPanelRows + row + v * kLanes); });
  }
}

// K types: one block, its sub-blocks scaled as integers.
template <DType kType, QuantMultiply kWay, size_t MR>
HWY_NOINLINE void SuperTile(const TileRows& rows, const UnpackedColumns& w, float* HWY_RESTRICT sums) {
  const DI d;
  const DF df;
  constexpr bool kSix = kType == DType::kQ6_K;
  constexpr size_t kBlockWords = kSuperBlock / 4, kSubWords = kSix ? 4 : 8;
  // Words that can be accumulated in 16 bits: 2 * 127 * (largest quant) * words <= 32,767.
  constexpr size_t kMaxAdds = kSix ? 2 : kType == DType::kQ5_K ? 4 : 8;
  constexpr size_t kGroup = kWay == QuantMultiply::kPairs ? std::min(kSubWords, kMaxAdds) : kSubWords;
  constexpr size_t kOffsets = OffsetWords(kType);
  const int32_t* const x = rows.Words(0, 0);
  const int32_t* const offsets = rows.x->Offsets(rows.block, rows.row);
  const float* const x_scale = rows.x->Scale(rows.block, rows.row);
  for (size_t row = 0; row < kPanelRows; row += kTileVectors * kLanes) {
    VI scaled[MR][kTileVectors];
    ForTile<MR>([&](auto m, auto v) STABLELM_INLINE_LAMBDA { scaled[m][v] = hn::Zero(d); });
    if constexpr (kSix && kWay == QuantMultiply::kPairs) {
      for (size_t i = 0; i < 8; ++i) {
        ForTile<MR>([&](auto m, auto v) STABLELM_INLINE_LAMBDA {
          scaled[m][v] = AddScaled<kWay>(scaled[m][v], hn::Load(d, w.pairs[i] + row + v * kLanes),
                                         hn::Set(d, offsets[m * kOffsets + 16 + i]));
        });
      }
      ForTile<MR>([&](auto m, auto v)
                      STABLELM_INLINE_LAMBDA { scaled[m][v] = hn::Sub(hn::Zero(d), hn::ShiftLeft<5>(scaled[m][v])); });
    }
    for (size_t sub = 0; sub < kBlockWords / kSubWords; ++sub) {
      VI factor[kTileVectors];
      Unroll<kTileVectors>([&](auto v)
                               STABLELM_INLINE_LAMBDA { factor[v] = hn::Load(d, w.factors[sub] + row + v * kLanes); });
      for (size_t i = sub * kSubWords; i < (sub + 1) * kSubWords; i += kGroup) {
        VI sum[1][MR][kTileVectors];
        ForTile<MR>([&](auto m, auto v) STABLELM_INLINE_LAMBDA {
          sum[0][m][v] = kSix && kWay != QuantMultiply::kPairs ? hn::Set(d, offsets[m * kOffsets + sub]) : hn::Zero(d);
        });
        TileSums<kWay, kGroup>({w.words[0][i] + row}, x + i, kBlockWords, sum);
        ForTile<MR>([&](auto m, auto v) STABLELM_INLINE_LAMBDA {
          scaled[m][v] = AddScaled<kWay>(scaled[m][v], factor[v], sum[0][m][v]);
        });
      }
    }
    Unroll<MR>([&](auto m) STABLELM_INLINE_LAMBDA {
      Unroll<kTileVectors>([&](auto v) STABLELM_INLINE_LAMBDA {
        const size_t at = row + v * kLanes;
        float* const sum = sums + m * kPanelRows + at;
        VF acc = Fold(hn::Load(df, sum), scaled[m][v], hn::Load(df, w.scales[0] + at), x_scale + m);
        if constexpr (!kSix) {
          VI minimum[2], x_sums[4];
          Unroll<2>([&](auto i) STABLELM_INLINE_LAMBDA { minimum[i] = hn::Load(d, w.minimums[i] + at); });
          Unroll<4>([&](auto i) STABLELM_INLINE_LAMBDA { x_sums[i] = hn::Set(d, offsets[m * kOffsets + i]); });
          acc = FoldNegated(acc, SumOfMinimums<kWay>(minimum, x_sums), hn::Load(df, w.scales[1] + at), x_scale + m);
        }
        hn::Store(acc, df, sum);
      });
    });
  }
}

// ------------------------------------------------------------------------------------------------------------ loops

template <DType kType, QuantMultiply kWay, size_t MR>
HWY_INLINE void Tile(const TileRows& rows, const UnpackedColumns& w, float* sums) {
  if constexpr (PackedBlock<kType>::kElements == kSmallBlock) {
    SmallTile<kType, kWay, MR>(rows, w, sums);
  } else {
    SuperTile<kType, kWay, MR>(rows, w, sums);
  }
}

template <DType kType, QuantMultiply kWay>
void TileOfRows(size_t height, const TileRows& rows, const UnpackedColumns& w, float* sums) {
  static_assert(kTileRows == 6);
  switch (height) {
    case 1:
      return Tile<kType, kWay, 1>(rows, w, sums);
    case 2:
      return Tile<kType, kWay, 2>(rows, w, sums);
    case 3:
      return Tile<kType, kWay, 3>(rows, w, sums);
    case 4:
      return Tile<kType, kWay, 4>(rows, w, sums);
    case 5:
      return Tile<kType, kWay, 5>(rows, w, sums);
    default:
      return Tile<kType, kWay, 6>(rows, w, sums);
  }
}

template <DType kType, QuantMultiply kWay>
void Unpack(const std::byte* w, size_t blocks, UnpackedColumns& out) {
  if constexpr (kType == DType::kQ8_0 || kType == DType::kQ4_0) {
    for (size_t b = 0; b < blocks; ++b) UnpackSmall<kWay>(kType, w + b * PackedBlock<kType>::kBytes, b, out);
  } else if constexpr (kType == DType::kQ6_K) {
    UnpackQ6_K<kWay>(w, out);
  } else {
    UnpackAffineBlock<kType, kWay>(w, out);
  }
}

template <DType kType, QuantMultiply kWay>
void TiledOfType(const QuantJob& job, size_t p_begin, size_t p_end, float* scratch) {
  constexpr size_t kBlock = PackedBlock<kType>::kElements, kBytes = PackedBlock<kType>::kBytes;
  constexpr size_t kRun = kSuperBlock / kBlock;  // blocks unpacked together
  auto& columns = *new (scratch) UnpackedColumns;
  float* const sums = scratch + sizeof(UnpackedColumns) / sizeof(float);  // [row][kPanelRows]
  const size_t blocks = job.x.k / kBlock;
  for (size_t p = p_begin; p < p_end; ++p) {
    for (size_t m0 = 0; m0 < job.rows; m0 += kQuantBlockRows) {
      const size_t height = std::min(kQuantBlockRows, job.rows - m0);
      // Tiles of nearly equal height: a last tile of one row would underuse the processor.
      const size_t tiles = (height + kTileRows - 1) / kTileRows;
      std::fill_n(sums, height * kPanelRows, 0.0f);
      for (size_t b = 0; b < blocks; b += kRun) {
        const size_t run = std::min(kRun, blocks - b);
        const std::byte* const from = job.w->panel(p) + b * kBytes;
        Unpack<kType, kWay>(from, run, columns);
        for (size_t t = 0, m = 0; t < tiles; ++t) {
          PrefetchShare(from, run * kBytes, job.far, t, tiles);
          const size_t rows = (height - m + (tiles - t) - 1) / (tiles - t);
          TileOfRows<kType, kWay>(rows, {.x = &job.x, .block = b, .blocks = run, .row = m0 + m}, columns,
                                  sums + m * kPanelRows);
          m += rows;
        }
      }
      for (size_t m = 0; m < height; ++m) StoreRow(job.out, m0 + m, p, sums + m * kPanelRows);
    }
  }
}

// body(std::integral_constant<QuantMultiply, way>()) for the way to multiply.
template <class Body>
HWY_INLINE void WithQuantMultiply([[maybe_unused]] const QuantJob& job, const Body& body) {
#if STABLELM_HAS_DOT
  if (job.dots) return body(std::integral_constant<QuantMultiply, QuantMultiply::kDot>());
#endif
  body(std::integral_constant < QuantMultiply, STABLELM_HAS_PAIRS ? QuantMultiply::kPairs : QuantMultiply::kPlain > ());
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
