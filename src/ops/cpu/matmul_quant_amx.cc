// AMX products of many rows of x with quantized weights.
//
// Unpacks 256 columns of a panel at a time into bytes, in words of four, the format of tiles. A stage multiplies them
// with up to 16 rows of x into 32-bit sums. These are stored to memory and folded by vector instructions while the
// tiles compute the next stage.
//
// Q8_0 and Q4_0 are folded every 32 columns. The integer scales of K types are multiplied into the weights. The results
// do not fit in bytes, so each is split into a power of two times high, plus low, and the two are multiplied
// separately. All sums are exact, so none of this changes the result.
#include <algorithm>
#include <utility>

#include "ops/cpu/matmul_quant_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/matmul_quant_amx.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

#include "base/error.h"
#include "ops/cpu/amx.h"
#include "ops/cpu/quant_products-inl.h"
#include "ops/execution_context.h"
#include "ops/quant/blocks.h"

#ifndef STABLELM_OPS_MATMUL_QUANT_AMX_ONCE_
#define STABLELM_OPS_MATMUL_QUANT_AMX_ONCE_
namespace stablelm {

inline constexpr size_t kQuantAmxBlockRows = 1024;  // rows of x whose sums are kept in scratch

struct AmxScratch {
  // 256 columns of a panel: word i of row r is words[part][i][r]. Small blocks have one part, K types two: low and
  // high.
  alignas(64) int32_t words[2][kSuperBlock / 4][kPanelRows];
  alignas(64) int32_t minimums[2][kPanelRows];  // of Q4_K and Q5_K, four sub-blocks to a word
  alignas(64) float scales[8][kPanelRows];      // d of each block; of Q4_K and Q5_K d, then dmin
  // Results of the tiles for this stage and the previous one: [part][half of the panel] for K types, else [block].
  alignas(64) int32_t products[2][8][kTileHeight][kTileHeight];
};
static_assert(sizeof(AmxScratch) + kQuantAmxBlockRows * kPanelRows * sizeof(float) <=
              ExecutionContext::kWorkerFloats * sizeof(float));
static_assert(kPanelRows == 2 * kTileHeight);

}  // namespace stablelm
#endif

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {

#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86_64

static_assert(kLanes == kTileHeight);

// ------------------------------------------------------------------------------------------------------ unpacking

// Products of 16-bit lanes.
HWY_INLINE VI Multiply16(VI a, VI b) {
  const D16 d;
  return hn::BitCast(DI(), hn::Mul(hn::BitCast(d, a), hn::BitCast(d, b)));
}

template <DType kType>
void UnpackSmallBlock(const std::byte* w, size_t b, AmxScratch& out) {
  constexpr size_t kQuants = PackedBlock<kType>::kQuants;
  [[maybe_unused]] const hn::Repartition<int8_t, DI> bytes;
  [[maybe_unused]] const auto centred = [&](VI nibbles) HWY_ATTR {
    return hn::BitCast(DI(), hn::Sub(hn::BitCast(bytes, nibbles), hn::Set(bytes, 8)));
  };
  auto* const words = out.words[0] + 8 * b;
  for (size_t row = 0; row < kPanelRows; row += kLanes) {
    StoreScale(PackedHalf(w, 0, row), out.scales[b], row);
    if constexpr (kType == DType::kQ8_0) {
      Unroll<8>([&](auto i) STABLELM_INLINE_LAMBDA { StoreWord(PackedWord(w + kQuants, i, row), words[i], row); });
    } else {
      Unroll<4>([&](auto i) STABLELM_INLINE_LAMBDA {
        const VI both = PackedWord(w + kQuants, i, row);
        StoreWord(centred(LowNibbles(both)), words[i], row);
        StoreWord(centred(HighNibbles(both)), words[4 + i], row);
      });
    }
  }
}

// A factor f < 64 is 8 (f >> 3) + (f & 7); either part times a quant of at most five bits is below 256, so one
// multiplication handles both quants of a 16-bit lane.
constexpr int kAffineShift = 3;
template <DType kType>
void UnpackAffineBlock(const std::byte* w, AmxScratch& out) {
  using Packed = PackedBlock<kType>;
  const VI seven = hn::Set(DI(), 0x00070007);
  for (size_t row = 0; row < kPanelRows; row += kLanes) {
    StoreScale(PackedHalf(w, 0, row), out.scales[0], row);
    StoreScale(PackedHalf(w, 1, row), out.scales[1], row);
    const AffineFactors factors = UnpackAffine(w + Packed::kScales, row);
    VI low[8], high[8];
    Unroll<2>([&](auto i) STABLELM_INLINE_LAMBDA { StoreWord(factors.minimum[i], out.minimums[i], row); });
    Unroll<8>([&](auto j) STABLELM_INLINE_LAMBDA {
      const VI factor = UnsignedFactor<QuantMultiply::kPairs, j % 4>(factors.scale[j / 4]);
      low[j] = hn::And(factor, seven);
      high[j] = hn::And(hn::ShiftRight<kAffineShift>(factor), seven);
    });
    ForAffineQuants<kType>(w, row, [&](auto j, size_t i, VI quants) STABLELM_INLINE_LAMBDA {
      StoreWord(Multiply16(quants, low[j]), out.words[0][8 * j + i], row);
      StoreWord(Multiply16(quants, high[j]), out.words[1][8 * j + i], row);
    });
  }
}

// (q - 32) times a signed factor, in 13 bits, is 64 high + low with 0 <= low < 64 and -64 <= high <= 64.
constexpr int kSixShift = 6;
void UnpackQ6_KBlock(const std::byte* w, AmxScratch& out) {
  using Packed = PackedBlock<DType::kQ6_K>;
  const DI d;
  const D16 d16;
  const VI bytes = hn::Set(d, 0x00FF00FF), rest = hn::Set(d, 0x003F003F);
  const auto centred = [&](VI quants) HWY_ATTR {
    return hn::BitCast(d, hn::Sub(hn::BitCast(d16, hn::And(quants, bytes)), hn::Set(d16, 32)));
  };
  const auto upper = [&](VI products)
                         HWY_ATTR { return hn::BitCast(d, hn::ShiftRight<kSixShift>(hn::BitCast(d16, products))); };
  for (size_t row = 0; row < kPanelRows; row += kLanes) {
    StoreScale(PackedHalf(w, 0, row), out.scales[0], row);
    VI factors[16];
    Unroll<16>([&](auto j) STABLELM_INLINE_LAMBDA {
      factors[j] = SignedFactor<QuantMultiply::kPairs, j % 4>(PackedWord(w + Packed::kScales, j / 4, row));
    });
    ForSixQuants(w, row, [&](auto j, size_t i, VI quants) STABLELM_INLINE_LAMBDA {
      const VI even = Multiply16(centred(quants), factors[j]);
      const VI odd = Multiply16(centred(hn::ShiftRight<8>(quants)), factors[j]);
      StoreWord(hn::Or(hn::And(even, rest), hn::ShiftLeft<8>(hn::And(odd, rest))), out.words[0][4 * j + i], row);
      StoreWord(hn::Or(hn::And(upper(even), bytes), hn::ShiftLeft<8>(hn::And(upper(odd), bytes))),
                out.words[1][4 * j + i], row);
    });
  }
}

template <DType kType>
void Unpack(const std::byte* w, size_t blocks, AmxScratch& out) {
  if constexpr (kType == DType::kQ8_0 || kType == DType::kQ4_0) {
    for (size_t b = 0; b < blocks; ++b) UnpackSmallBlock<kType>(w + b * PackedBlock<kType>::kBytes, b, out);
  } else if constexpr (kType == DType::kQ6_K) {
    UnpackQ6_KBlock(w, out);
  } else {
    UnpackAffineBlock<kType>(w, out);
  }
}

// ---------------------------------------------------------------------------------------------------------- stages

// Rows of x and column blocks of a stage. A tile that would extend beyond the last row starts earlier instead; its
// first `done` rows have been folded already.
struct Stage {
  const QuantizedRows* x;
  size_t block, blocks, row, rows, done;
  bool far;  // asks for weights far ahead
};

constexpr bool IsSmall(DType type) { return type == DType::kQ8_0 || type == DType::kQ4_0; }

// Tiles 0 to 3 are sums, 4 and 5 rows of x, 6 and 7 weights.
constexpr TileConfig ConfigOf(DType type, size_t rows) {
  const size_t x_bytes = IsSmall(type) ? kSmallBlock : kTileRowBytes;
  TileConfig config;
  for (size_t t = 0; t < 4; ++t) config.Set(t, rows, kTileRowBytes);
  for (size_t t = 4; t < 6; ++t) config.Set(t, rows, x_bytes);
  for (size_t t = 6; t < 8; ++t) config.Set(t, x_bytes / 4, kTileRowBytes);
  return config;
}

using Products = int32_t[8][kTileHeight][kTileHeight];
constexpr size_t kProductStride = kTileHeight * sizeof(int32_t);

template <DType kType, int kC, int kA, int kB>
HWY_INLINE void AddProducts() {
  if constexpr (kType == DType::kQ5_K) {
    Tiles::AddUnsignedBytes<kC, kA, kB>();
  } else {
    Tiles::AddBytes<kC, kA, kB>();
  }
}

// Half `half` of a panel of small blocks, a separate product for each block.
template <DType kType>
HWY_INLINE void MultiplySmall(const Stage& s, const AmxScratch& w, size_t half, Products& to) {
  Unroll<8>([&](auto b) STABLELM_INLINE_LAMBDA {
    constexpr int kC = b % 4, kA = 4 + b % 2, kB = 6 + b % 2;
    if (b >= s.blocks) return;
    Tiles::Zero<kC>();
    Tiles::Load<kA>(s.x->Quants(s.block + b, s.row), kSmallBlock);
    Tiles::Load<kB>(w.words[0][8 * b] + half * kTileHeight, sizeof w.words[0][0]);
    AddProducts<kType, kC, kA, kB>();
    Tiles::Store<kC>(to[b], kProductStride);
  });
}

HWY_NOINLINE void FoldSmall(const Stage& s, const AmxScratch& w, size_t half, const Products& products,
                            float* HWY_RESTRICT sums) {
  const DF df;
  alignas(64) float x_scales[8][kTileHeight];
  for (size_t b = 0; b < s.blocks; ++b) {
    hn::Store(hn::MaskedLoad(hn::FirstN(df, s.rows), df, s.x->Scale(s.block + b, s.row)), df, x_scales[b]);
  }
  VF acc[kTileHeight];
  float* const sum = sums + half * kTileHeight;
  Unroll<kTileHeight>([&](auto m) STABLELM_INLINE_LAMBDA { acc[m] = hn::Load(df, sum + m * kPanelRows); });
  for (size_t b = 0; b < s.blocks; ++b) {
    const VF scale = hn::Load(df, w.scales[b] + half * kTileHeight);
    Unroll<kTileHeight>([&](auto m) STABLELM_INLINE_LAMBDA {
      acc[m] = Fold(acc[m], hn::Load(DI(), products[b][m]), scale, x_scales[b] + m);
    });
  }
  Unroll<kTileHeight>([&](auto m) STABLELM_INLINE_LAMBDA {
    if (m >= s.done) hn::Store(acc[m], df, sum + m * kPanelRows);
  });
}

// A block of a K type with a whole panel: both parts of both halves. The results stay in tiles.
template <DType kType>
HWY_INLINE void MultiplySuper(const Stage& s, const AmxScratch& w) {
  const int8_t* const x = s.x->Quants(s.block, s.row);
  Unroll<4>([&](auto c) STABLELM_INLINE_LAMBDA { Tiles::Zero<c>(); });
  Unroll<4>([&](auto step) STABLELM_INLINE_LAMBDA {
    constexpr int kA = 4 + step % 2;
    Tiles::Load<kA>(x + step * kTileRowBytes, kSuperBlock);
    Unroll<4>([&](auto c) STABLELM_INLINE_LAMBDA {
      constexpr size_t kPart = c / 2, kHalf = c % 2;
      constexpr int kB = 6 + kHalf;
      Tiles::Load<kB>(w.words[kPart][16 * step] + kHalf * kTileHeight, sizeof w.words[0][0]);
      AddProducts<kType, c, kA, kB>();
    });
  });
}
HWY_INLINE void StoreSuper(Products& to) {
  Unroll<4>([&](auto c) STABLELM_INLINE_LAMBDA { Tiles::Store<c>(to[c], kProductStride); });
}

template <DType kType>
HWY_NOINLINE void FoldSuper(const Stage& s, const AmxScratch& w, const Products& products, float* HWY_RESTRICT sums) {
  const DI d;
  const DF df;
  constexpr bool kSix = kType == DType::kQ6_K;
  constexpr int kShift = kSix ? kSixShift : kAffineShift;
  VI minimum[2][2];
  VF scale[2], minimum_scale[2];
  Unroll<2>([&](auto v) STABLELM_INLINE_LAMBDA {
    scale[v] = hn::Load(df, w.scales[0] + v * kLanes);
    if constexpr (!kSix) {
      minimum_scale[v] = hn::Load(df, w.scales[1] + v * kLanes);
      Unroll<2>([&](auto i) STABLELM_INLINE_LAMBDA { minimum[v][i] = hn::Load(d, w.minimums[i] + v * kLanes); });
    }
  });
  for (size_t m = s.done; m < s.rows; ++m) {
    const float* const x_scale = s.x->Scale(s.block, s.row + m);
    [[maybe_unused]] VI x_sums[4];
    if constexpr (!kSix) {
      const int32_t* const offsets = s.x->Offsets(s.block, s.row + m);
      Unroll<4>([&](auto i) STABLELM_INLINE_LAMBDA { x_sums[i] = hn::Set(d, offsets[i]); });
    }
    Unroll<2>([&](auto v) STABLELM_INLINE_LAMBDA {
      float* const sum = sums + m * kPanelRows + v * kLanes;
      const VI low = hn::Load(d, products[v][m]), high = hn::Load(d, products[2 + v][m]);
      VF acc = Fold(hn::Load(df, sum), hn::Add(low, hn::ShiftLeft<kShift>(high)), scale[v], x_scale);
      if constexpr (!kSix) {
        acc = FoldNegated(acc, SumOfMinimums<QuantMultiply::kDot>(minimum[v], x_sums), minimum_scale[v], x_scale);
      }
      hn::Store(acc, df, sum);
    });
  }
}

// ----------------------------------------------------------------------------------------------------------- loops

// Runs the stages of `height` rows, starting at s.row. Vector instructions fold one stage while the tiles multiply the
// next. `weights`: the packed weights of this stage, `bytes` bytes.
template <DType kType>
void Stages(const Stage& s, size_t height, const std::byte* weights, size_t bytes, AmxScratch& scratch, float* sums) {
  const size_t first = s.row, tiles = (height + kTileHeight - 1) / kTileHeight;
  const auto stage_of = [&](size_t t) {
    const size_t at = std::min(t * kTileHeight, height - s.rows);
    Stage stage = s;
    stage.row = first + at, stage.done = t * kTileHeight - at;
    return stage;
  };
  const auto sums_of = [&](const Stage& stage) { return sums + (stage.row - first) * kPanelRows; };
  if constexpr (IsSmall(kType)) {
    const auto fold = [&](size_t i) {
      const Stage stage = stage_of(i / 2);
      FoldSmall(stage, scratch, i % 2, scratch.products[i % 2], sums_of(stage));
    };
    for (size_t i = 0; i < 2 * tiles; ++i) {
      PrefetchShare(weights, bytes, s.far, i, 2 * tiles);
      MultiplySmall<kType>(stage_of(i / 2), scratch, i % 2, scratch.products[i % 2]);
      if (i > 0) fold(i - 1);
    }
    fold(2 * tiles - 1);
  } else {
    const auto fold = [&](size_t t) {
      const Stage stage = stage_of(t);
      FoldSuper<kType>(stage, scratch, scratch.products[t % 2], sums_of(stage));
    };
    for (size_t t = 0; t < tiles; ++t) {
      PrefetchShare(weights, bytes, s.far, t, tiles);
      MultiplySuper<kType>(stage_of(t), scratch);
      if (t > 0) fold(t - 1);
      StoreSuper(scratch.products[t % 2]);
    }
    fold(tiles - 1);
  }
}

template <DType kType>
void AmxOfType(const QuantJob& job, size_t p_begin, size_t p_end, float* memory) {
  constexpr size_t kBlock = PackedBlock<kType>::kElements, kBytes = PackedBlock<kType>::kBytes;
  constexpr size_t kRun = kSuperBlock / kBlock;  // blocks unpacked together
  auto& scratch = *new (memory) AmxScratch;
  float* const sums = memory + sizeof(AmxScratch) / sizeof(float);  // [row][kPanelRows]
  const size_t blocks = job.x.k / kBlock, rows = std::min(kTileHeight, job.rows);
  const Tiles tiles(ConfigOf(kType, rows));
  for (size_t p = p_begin; p < p_end; ++p) {
    // Blocks of rows of nearly equal height, none smaller than a tile.
    const size_t cuts = (job.rows + kQuantAmxBlockRows - 1) / kQuantAmxBlockRows;
    for (size_t cut = 0; cut < cuts; ++cut) {
      const size_t m0 = cut * job.rows / cuts, height = (cut + 1) * job.rows / cuts - m0;
      std::fill_n(sums, std::max(height, kTileHeight) * kPanelRows, 0.0f);
      for (size_t b = 0; b < blocks; b += kRun) {
        const size_t run = std::min(kRun, blocks - b);
        const std::byte* const from = job.w->panel(p) + b * kBytes;
        Unpack<kType>(from, run, scratch);
        Stages<kType>({.x = &job.x, .block = b, .blocks = run, .row = m0, .rows = rows, .done = 0, .far = job.far},
                      height, from, run * kBytes, scratch, sums);
      }
      for (size_t m = 0; m < height; ++m) StoreRow(job.out, m0 + m, p, sums + m * kPanelRows);
    }
  }
}

void Amx(const QuantJob& job, size_t p_begin, size_t p_end, float* scratch) {
  WithQuantType(job.w->type(),
                [&](auto type) STABLELM_INLINE_LAMBDA { AmxOfType<type>(job, p_begin, p_end, scratch); });
}

#else

void Amx(const QuantJob&, size_t, size_t, float*) { STABLELM_CHECK(false); }

#endif

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(Amx);
}  // namespace

void QuantMatMulAmx(const QuantJob& job, size_t p_begin, size_t p_end, float* scratch) {
  HWY_DYNAMIC_DISPATCH(Amx)(job, p_begin, p_end, scratch);
}

}  // namespace stablelm
#endif  // HWY_ONCE
