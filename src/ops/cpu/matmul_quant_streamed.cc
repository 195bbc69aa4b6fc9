// Products of one or two rows of x with quantized weights, as in decoding: weights are read once and unpacked in
// registers.
//
// A thread reads its panels in order and prefetches in software. Measured with 2 threads on AMD Zen 5, which reads 85
// GB/s: hardware prefetching alone gives 40 GB/s, whether 1, 2 or 4 panels are read at the same time; software
// prefetching gives 58 to 76 GB/s with one, 5 to 10 % less with two. AMD Zen 3 (27 to 47 GB/s) reads two panels at the
// same time faster than one, by 11 to 15 % with small blocks, and faster than four; K types only where both are read
// line after line (StreamedSuperPanels).
#include <algorithm>
#include <cstring>

#include "ops/cpu/matmul_quant_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/matmul_quant_streamed.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

#include "base/error.h"
#include "ops/cpu/quant_products-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {

// With kPlain, memory is never the bottleneck: all products are tiled.
#if STABLELM_HAS_PAIRS

// Vectors of weight rows per pass over a block; they share each load of a word of x.
constexpr size_t kVectors = 2;
constexpr size_t kPassRows = kVectors * kLanes, kPasses = kPanelRows / kPassRows;

template <DType kType>
constexpr bool kSuperBlocks = PackedBlock<kType>::kElements == kSuperBlock;
// Whether two panels are read at the same time (see above), for MR rows of x: where a block takes several passes, as on
// Zen 3, and with the dot product where weights are asked for far ahead, as on Intel's.
enum class TwoPanels : uint8_t { kNever, kIfFar, kAlways };
template <DType kType, QuantMultiply kWay, size_t MR>
constexpr TwoPanels kTwoPanels = kSuperBlocks<kType>&& MR > 1  ? TwoPanels::kNever
                                 : kPasses > 1                 ? TwoPanels::kAlways
                                 : kWay == QuantMultiply::kDot ? TwoPanels::kIfFar
                                                               : TwoPanels::kNever;

// One row of x in one block.
struct XBlock {
  const int32_t* words;  // words of four quants
  const int32_t* offsets;
  const float* scale;
  bool far;  // asks far ahead
};
HWY_INLINE XBlock XBlockOf(const QuantJob& job, size_t block, size_t row) {
  return {reinterpret_cast<const int32_t*>(job.x.Quants(block, row)), job.x.Offsets(block, row),
          job.x.Scale(block, row), job.far};
}

// For each type, Block::Add adds one block of the kVectors * kLanes weight rows from `row` on to acc[m][vector].

// Multiplies the kWords words of one sub-block; words(i, v) returns word i of vector v. kMaxAdds: how many words can be
// accumulated in 16 bits, 2 * 127 * (largest quant) * kMaxAdds <= 32,767. flush(m, v, sum) receives each sum, possibly
// in parts.
template <QuantMultiply kWay, size_t kWords, size_t kMaxAdds, size_t MR, class Words, class Flush>
HWY_INLINE void SubBlock(const Words& words, const XBlock (&x)[MR], size_t first, const Flush& flush) {
  constexpr size_t kGroup = kWay == QuantMultiply::kPairs ? std::min(kWords, kMaxAdds) : kWords;
  const DI d;
  Unroll<kWords / kGroup>([&](auto group) STABLELM_INLINE_LAMBDA {
    VI sum[MR][kVectors];
    Unroll<MR * kVectors>([&](auto i) STABLELM_INLINE_LAMBDA { sum[i / kVectors][i % kVectors] = hn::Zero(d); });
    Unroll<kGroup>([&](auto i) STABLELM_INLINE_LAMBDA {
      constexpr size_t at = group * kGroup + i;
      VI w[kVectors];
      Unroll<kVectors>([&](auto v) STABLELM_INLINE_LAMBDA { w[v] = words(std::integral_constant<size_t, at>(), v); });
      Unroll<MR>([&](auto m) STABLELM_INLINE_LAMBDA {
        const VI xv = hn::Set(d, x[m].words[first + at]);
        Unroll<kVectors>([&](auto v) STABLELM_INLINE_LAMBDA { AddWord<kWay>(sum[m][v], w[v], xv); });
      });
    });
    Unroll<MR>([&](auto m) STABLELM_INLINE_LAMBDA {
      Unroll<kVectors>([&](auto v) STABLELM_INLINE_LAMBDA { flush(m, v, sum[m][v]); });
    });
  });
}

// Each pass over a block prefetches its share of what is read kPrefetchDistance later, spread over the pass: a burst of
// prefetches in the first pass stalls the arithmetic and leaves memory idle in the others. A loop issues them
// (PrefetchShare): processors do not follow a separate instruction for every line of a block. GB/s before -> after on
// two threads of AMD Zen 3, where a pass takes half a block: over a burst, Q4_K 17 -> 26, Q6_K 17 -> 22; over many
// instructions, Q4_0 19 -> 24, Q8_0 20 -> 25. One thread of AMD Zen 5, over many instructions: Q6_K 27 -> 48, Q4_K 41
// -> 57.

// Calls body(0) ... body(kParts - 1) for the pass from `row` over a block of kBytes, and prefetches a part of the
// pass's share before each call.
template <size_t kParts, size_t kBytes, class Body>
HWY_INLINE void ForPartsAhead(const std::byte* block, bool far, size_t row, const Body& body) {
  for (size_t part = 0; part < kParts; ++part) {
    asm volatile("" : "+r"(part));  // hides the value: the compiler would copy the loop for each part
    PrefetchShare(block, kBytes, far, row / kPassRows * kParts + part, kParts * kPasses);
    Unroll<kParts>([&](auto p) STABLELM_INLINE_LAMBDA {
      if (part == p) body(p);
    });
  }
}

template <DType kType, QuantMultiply kWay, size_t MR>
struct Block;

template <QuantMultiply kWay, size_t MR>
struct Block<DType::kQ8_0, kWay, MR> {
  static HWY_INLINE void Add(const std::byte* w, size_t row, const XBlock (&x)[MR], VF (&acc)[MR][kVectors]) {
    VI total[MR][kVectors];
    Unroll<MR * kVectors>([&](auto i) STABLELM_INLINE_LAMBDA {
      total[i / kVectors][i % kVectors] = SmallOffset<DType::kQ8_0, kWay>(x[i / kVectors].offsets);
    });
    PrefetchShare(w, PackedBlock<DType::kQ8_0>::kBytes, x[0].far, row / kPassRows, kPasses);
    const auto word = [&](auto i, auto v) STABLELM_INLINE_LAMBDA {
      return SmallQuants<kWay>(PackedWord(w + PackedBlock<DType::kQ8_0>::kQuants, i, row + v * kLanes));
    };
    if constexpr (kWay == QuantMultiply::kPairs) {
      // Products of whole bytes overflow 16 bits, so multiply nibble by nibble.
      SubBlock<kWay, 8, 8>([&](auto i, auto v) STABLELM_INLINE_LAMBDA { return LowNibbles(word(i, v)); }, x, 0,
                           [&](auto m, auto v, VI sum)
                               STABLELM_INLINE_LAMBDA { total[m][v] = AddSum<kWay>(total[m][v], sum); });
      SubBlock<kWay, 8, 8>([&](auto i, auto v) STABLELM_INLINE_LAMBDA { return HighNibbles(word(i, v)); }, x, 0,
                           [&](auto m, auto v, VI sum) STABLELM_INLINE_LAMBDA {
                             total[m][v] = AddScaled<kWay>(total[m][v], ConstantFactor<kWay>(16), sum);
                           });
    } else {
      SubBlock<kWay, 8, 8>(
          word, x, 0, [&](auto m, auto v, VI sum) STABLELM_INLINE_LAMBDA { total[m][v] = hn::Add(total[m][v], sum); });
    }
    Unroll<kVectors>([&](auto v) STABLELM_INLINE_LAMBDA {
      const VF scale = PackedHalf(w, 0, row + v * kLanes);
      Unroll<MR>([&](auto m) STABLELM_INLINE_LAMBDA { acc[m][v] = Fold(acc[m][v], total[m][v], scale, x[m].scale); });
    });
  }
};

template <QuantMultiply kWay, size_t MR>
struct Block<DType::kQ4_0, kWay, MR> {
  static HWY_INLINE void Add(const std::byte* w, size_t row, const XBlock (&x)[MR], VF (&acc)[MR][kVectors]) {
    const DI d;
    VI total[MR][kVectors];
    Unroll<MR * kVectors>([&](auto i) STABLELM_INLINE_LAMBDA {
      total[i / kVectors][i % kVectors] = hn::Set(d, *x[i / kVectors].offsets);
    });
    PrefetchShare(w, PackedBlock<DType::kQ4_0>::kBytes, x[0].far, row / kPassRows, kPasses);
    SubBlock<kWay, 8, 8>(
        [&](auto i, auto v) STABLELM_INLINE_LAMBDA {
          const VI both = PackedWord(w + PackedBlock<DType::kQ4_0>::kQuants, i % 4, row + v * kLanes);
          return i < 4 ? LowNibbles(both) : HighNibbles(both);
        },
        x, 0, [&](auto m, auto v, VI sum) STABLELM_INLINE_LAMBDA { total[m][v] = AddSum<kWay>(total[m][v], sum); });
    Unroll<kVectors>([&](auto v) STABLELM_INLINE_LAMBDA {
      const VF scale = PackedHalf(w, 0, row + v * kLanes);
      Unroll<MR>([&](auto m) STABLELM_INLINE_LAMBDA { acc[m][v] = Fold(acc[m][v], total[m][v], scale, x[m].scale); });
    });
  }
};

// x = d S n - dmin M, eight sub-blocks of 32.
template <DType kType, QuantMultiply kWay, size_t MR>
struct AffineBlock {
  using Packed = PackedBlock<kType>;
  static constexpr bool kFive = kType == DType::kQ5_K;

  static HWY_INLINE void Add(const std::byte* w, size_t row, const XBlock (&x)[MR], VF (&acc)[MR][kVectors]) {
    const DI d;
    AffineFactors factors[kVectors];
    Unroll<kVectors>([&](auto v)
                         STABLELM_INLINE_LAMBDA { factors[v] = UnpackAffine(w + Packed::kScales, row + v * kLanes); });
    VI scaled[MR][kVectors];
    Unroll<MR * kVectors>([&](auto i) STABLELM_INLINE_LAMBDA { scaled[i / kVectors][i % kVectors] = hn::Zero(d); });
    const auto add_sub_block = [&](auto j) STABLELM_INLINE_LAMBDA {
      const auto words = [&](auto i, auto v) STABLELM_INLINE_LAMBDA {
        const VI both = PackedWord(w + Packed::kQuants, j / 2 * 8 + i, row + v * kLanes);
        VI fifth = hn::Zero(d);
        if constexpr (kFive) fifth = PackedWord(w + Packed::kHigh, i, row + v * kLanes);
        return AffineQuants<kType, j>(both, fifth);
      };
      SubBlock<kWay, 8, kFive ? 4 : 8>(words, x, 8 * j, [&](auto m, auto v, VI sum) STABLELM_INLINE_LAMBDA {
        scaled[m][v] = AddScaled<kWay>(scaled[m][v], UnsignedFactor<kWay, j % 4>(factors[v].scale[j / 4]), sum);
      });
    };
    ForPartsAhead<4, Packed::kBytes>(w, x[0].far, row, [&](auto pair) STABLELM_INLINE_LAMBDA {
      add_sub_block(std::integral_constant<size_t, 2 * pair>());
      add_sub_block(std::integral_constant<size_t, 2 * pair + 1>());
    });
    Unroll<MR>([&](auto m) STABLELM_INLINE_LAMBDA {
      VI offsets[4];
      Unroll<4>([&](auto i) STABLELM_INLINE_LAMBDA { offsets[i] = hn::Set(d, x[m].offsets[i]); });
      Unroll<kVectors>([&](auto v) STABLELM_INLINE_LAMBDA {
        const VI lifted = SumOfMinimums<kWay>(factors[v].minimum, offsets);
        acc[m][v] = Fold(acc[m][v], scaled[m][v], PackedHalf(w, 0, row + v * kLanes), x[m].scale);
        acc[m][v] = FoldNegated(acc[m][v], lifted, PackedHalf(w, 1, row + v * kLanes), x[m].scale);
      });
    });
  }
};
template <QuantMultiply kWay, size_t MR>
struct Block<DType::kQ4_K, kWay, MR> : AffineBlock<DType::kQ4_K, kWay, MR> {};
template <QuantMultiply kWay, size_t MR>
struct Block<DType::kQ5_K, kWay, MR> : AffineBlock<DType::kQ5_K, kWay, MR> {};

// What the -32 in (n - 32) adds to sums of Q6_K with kPairs: -32 * sum over the sub-blocks of scale times sum of x.
HWY_INLINE VI SumOfZeros(const XBlock& x, const std::byte* w, size_t row) {
  constexpr QuantMultiply kWay = QuantMultiply::kPairs;
  const DI d;
  VI sum = hn::Zero(d);
  Unroll<4>([&](auto quarter) STABLELM_INLINE_LAMBDA {
    const VI factors = PackedWord(w + PackedBlock<DType::kQ6_K>::kScales, quarter, row);
    const int32_t* const x_sums = x.offsets + 16 + 2 * quarter;
    sum = AddScaled<kWay>(sum, SignedHalves<0, 1>(factors), hn::Set(d, x_sums[0]));
    sum = AddScaled<kWay>(sum, SignedHalves<2, 3>(factors), hn::Set(d, x_sums[1]));
  });
  return hn::Sub(hn::Zero(d), hn::ShiftLeft<5>(sum));
}

// x = d scale (n - 32), sixteen sub-blocks of 16: sub-block 2 (4 t + r) + half, r = 2 * (upper nibble) + odd.
template <QuantMultiply kWay, size_t MR>
struct Block<DType::kQ6_K, kWay, MR> {
  using Packed = PackedBlock<DType::kQ6_K>;
  static HWY_INLINE void Add(const std::byte* w, size_t row, const XBlock (&x)[MR], VF (&acc)[MR][kVectors]) {
    const DI d;
    VI scaled[MR][kVectors];
    Unroll<MR * kVectors>([&](auto i) STABLELM_INLINE_LAMBDA { scaled[i / kVectors][i % kVectors] = hn::Zero(d); });
    // Four sub-blocks, whose scales are one word.
    ForPartsAhead<4, Packed::kBytes>(w, x[0].far, row, [&](auto quarter) STABLELM_INLINE_LAMBDA {
      VI factors[kVectors];
      Unroll<kVectors>([&](auto v) STABLELM_INLINE_LAMBDA {
        factors[v] = PackedWord(w + Packed::kScales, quarter, row + v * kLanes);
      });
      Unroll<4>([&](auto in_quarter) STABLELM_INLINE_LAMBDA {
        constexpr size_t sub = 4 * quarter + in_quarter, t = sub / 8, r = sub / 2 % 4, half = sub % 2;
        const auto words = [&](auto i, auto v) STABLELM_INLINE_LAMBDA {
          const VI both = PackedWord(w + Packed::kLow, t * 16 + r % 2 * 8 + half * 4 + i, row + v * kLanes);
          const VI high = PackedWord(w + Packed::kHigh, t * 8 + half * 4 + i, row + v * kLanes);
          return SixQuants<r>(both, high);
        };
        SubBlock<kWay, 4, 2>(words, x, 4 * sub, [&](auto m, auto v, VI sum) STABLELM_INLINE_LAMBDA {
          if constexpr (kWay != QuantMultiply::kPairs) sum = hn::Add(sum, hn::Set(d, x[m].offsets[sub]));
          scaled[m][v] = AddScaled<kWay>(scaled[m][v], SignedFactor<kWay, in_quarter>(factors[v]), sum);
        });
      });
    });
    if constexpr (kWay == QuantMultiply::kPairs) {
      Unroll<kVectors>([&](auto v) STABLELM_INLINE_LAMBDA {
        Unroll<MR>([&](auto m) STABLELM_INLINE_LAMBDA {
          scaled[m][v] = hn::Add(scaled[m][v], SumOfZeros(x[m], w, row + v * kLanes));
        });
      });
    }
    Unroll<kVectors>([&](auto v) STABLELM_INLINE_LAMBDA {
      const VF scale = PackedHalf(w, 0, row + v * kLanes);
      Unroll<MR>([&](auto m) STABLELM_INLINE_LAMBDA { acc[m][v] = Fold(acc[m][v], scaled[m][v], scale, x[m].scale); });
    });
  }
};

// ------------------------------------------------------------------ K types, one row of x, few registers
//
// A block takes 4 to 7 KiB, too long for passes that each skip the lines of the others. Instead all rows of a panel are
// processed together, a quarter of a block at a time, so that a panel is read line after line; two panels alternate,
// quarter by quarter. The sums of a quarter are in registers, those of a block in the L1 cache. Two threads of AMD Zen
// 3, medians of 25 runs alternating with passes: Q4_K 12 to 26 % faster, Q5_K 15 to 19 %, Q6_K 18 to 25 %; with one
// panel 13 to 15 %.

// One panel and its sums. The arrays have one element per row.
struct SuperPanel {
  const std::byte* block;
  alignas(64) float sums[kPanelRows] = {};
  // Of the current block: the sum over its sub-blocks, each times its scale. For Q4_K and Q5_K also the sum of the
  // minimums, and the scales, four sub-blocks to a word.
  alignas(64) int32_t scaled[kPanelRows], lifted[kPanelRows], scales[2][kPanelRows];
};
constexpr size_t kPanelVectors = kPanelRows / kLanes;
constexpr size_t kWordBytes = kPanelRows * 4;  // one word of every row

// For each type: Begin starts a block, AddPart<0> ... <3> add its quarters, End folds it into the sums of the panel.
template <DType kType, QuantMultiply kWay>
struct Super;

template <DType kType, QuantMultiply kWay>
struct AffineSuper {
  using Packed = PackedBlock<kType>;
  static constexpr bool kFive = kType == DType::kQ5_K;

  static HWY_INLINE void Begin(const XBlock& x, SuperPanel& p) {
    const DI d;
    PrefetchShare(p.block, Packed::kQuants, x.far, 0, 1);
    VI x_sums[4];
    Unroll<4>([&](auto i) STABLELM_INLINE_LAMBDA { x_sums[i] = hn::Set(d, x.offsets[i]); });
    for (size_t row = 0; row < kPanelRows; row += kLanes) {
      const AffineFactors factors = UnpackAffine(p.block + Packed::kScales, row);
      Unroll<2>([&](auto i) STABLELM_INLINE_LAMBDA { StoreWord(factors.scale[i], p.scales[i], row); });
      StoreWord(SumOfMinimums<kWay>(factors.minimum, x_sums), p.lifted, row);
      StoreWord(hn::Zero(d), p.scaled, row);
    }
  }

  // Two sub-blocks, whose quants share bytes.
  template <size_t kPart>
  static HWY_INLINE void AddPart(const XBlock& x, SuperPanel& p) {
    constexpr size_t kEven = 2 * kPart, kOdd = kEven + 1;
    constexpr size_t kMaxAdds = kFive ? 4 : 8;  // as SubBlock's
    constexpr size_t kGroup = kWay == QuantMultiply::kPairs ? kMaxAdds : 8;
    const DI d;
    const std::byte* words = p.block + Packed::kQuants + kPart * 8 * kWordBytes;
    const int32_t* x_word = x.words + 8 * kEven;
    [[maybe_unused]] const std::byte* high_words = nullptr;
    if constexpr (kFive) high_words = p.block + Packed::kHigh;
    for (size_t group = 0; group < 8; group += kGroup) {
      VI even[kPanelVectors], odd[kPanelVectors];
      Unroll<kPanelVectors>([&](auto v) STABLELM_INLINE_LAMBDA { even[v] = odd[v] = hn::Zero(d); });
      for (size_t i = 0; i < kGroup; ++i, words += kWordBytes, ++x_word) {
        PrefetchShare(words, kWordBytes, x.far, 0, 1);
        const VI x_even = hn::Set(d, x_word[0]), x_odd = hn::Set(d, x_word[8]);
        Unroll<kPanelVectors>([&](auto v) STABLELM_INLINE_LAMBDA {
          const VI both = PackedWord(words, 0, v * kLanes);
          VI fifth = hn::Zero(d);
          if constexpr (kFive) fifth = PackedWord(high_words, group + i, v * kLanes);
          AddWord<kWay>(even[v], AffineQuants<kType, kEven>(both, fifth), x_even);
          AddWord<kWay>(odd[v], AffineQuants<kType, kOdd>(both, fifth), x_odd);
        });
      }
      Unroll<kPanelVectors>([&](auto v) STABLELM_INLINE_LAMBDA {
        const VI scales = hn::Load(d, p.scales[kPart / 2] + v * kLanes);
        VI scaled = hn::Load(d, p.scaled + v * kLanes);
        scaled = AddScaled<kWay>(scaled, UnsignedFactor<kWay, kEven % 4>(scales), even[v]);
        scaled = AddScaled<kWay>(scaled, UnsignedFactor<kWay, kOdd % 4>(scales), odd[v]);
        StoreWord(scaled, p.scaled, v * kLanes);
      });
    }
  }

  static HWY_INLINE void End(const XBlock& x, SuperPanel& p) {
    const DI d;
    for (size_t row = 0; row < kPanelRows; row += kLanes) {
      VF acc = hn::Load(DF(), p.sums + row);
      acc = Fold(acc, hn::Load(d, p.scaled + row), PackedHalf(p.block, 0, row), x.scale);
      acc = FoldNegated(acc, hn::Load(d, p.lifted + row), PackedHalf(p.block, 1, row), x.scale);
      StoreScale(acc, p.sums, row);
    }
  }
};
template <QuantMultiply kWay>
struct Super<DType::kQ4_K, kWay> : AffineSuper<DType::kQ4_K, kWay> {};
template <QuantMultiply kWay>
struct Super<DType::kQ5_K, kWay> : AffineSuper<DType::kQ5_K, kWay> {};

template <QuantMultiply kWay>
struct Super<DType::kQ6_K, kWay> {
  using Packed = PackedBlock<DType::kQ6_K>;

  static HWY_INLINE void Begin(const XBlock& x, SuperPanel& p) {
    const DI d;
    PrefetchShare(p.block, Packed::kLow, x.far, 0, 1);
    for (size_t row = 0; row < kPanelRows; row += kLanes) {
      VI scaled = hn::Zero(d);
      if constexpr (kWay == QuantMultiply::kPairs) scaled = SumOfZeros(x, p.block, row);
      StoreWord(scaled, p.scaled, row);
    }
  }

  // Four sub-blocks (see Block), r = 0 ... 3 of one t and half.
  template <size_t kPart>
  static HWY_INLINE void AddPart(const XBlock& x, SuperPanel& p) {
    constexpr size_t kT = kPart / 2, kHalf = kPart % 2;
    constexpr size_t kGroup = kWay == QuantMultiply::kPairs ? 2 : 4;  // words that are added before a factor
    // Bytes to prefetch with each vector of rows.
    constexpr size_t kAheadOfRows = (Packed::kBytes - Packed::kLow) / 4 / kPanelVectors;
    const DI d;
    const std::byte* ahead = p.block + Packed::kLow + kPart * kPanelVectors * kAheadOfRows;
    for (size_t row = 0; row < kPanelRows; row += kLanes, ahead += kAheadOfRows) {
      PrefetchShare(ahead, kAheadOfRows, x.far, 0, 1);
      VI scaled = hn::Load(d, p.scaled + row);
      Unroll<4 / kGroup>([&](auto group) STABLELM_INLINE_LAMBDA {
        VI sum[4];
        Unroll<4>([&](auto r) STABLELM_INLINE_LAMBDA {
          const bool from_offset = kWay != QuantMultiply::kPairs && group == 0;
          sum[r] = from_offset ? hn::Set(d, x.offsets[8 * kT + 2 * r + kHalf]) : hn::Zero(d);
        });
        Unroll<kGroup>([&](auto in_group) STABLELM_INLINE_LAMBDA {
          constexpr size_t i = group * kGroup + in_group;
          ForSixQuantsOf<kPart>(p.block, i, row, [&](auto r, VI quants) STABLELM_INLINE_LAMBDA {
            AddWord<kWay>(sum[r], quants, hn::Set(d, x.words[32 * kT + 8 * r + 4 * kHalf + i]));
          });
        });
        Unroll<4>([&](auto r) STABLELM_INLINE_LAMBDA {
          const VI factors = PackedWord(p.block + Packed::kScales, 2 * kT + r / 2, row);
          scaled = AddScaled<kWay>(scaled, SignedFactor<kWay, r % 2 * 2 + kHalf>(factors), sum[r]);
        });
      });
      StoreWord(scaled, p.scaled, row);
    }
  }

  static HWY_INLINE void End(const XBlock& x, SuperPanel& p) {
    for (size_t row = 0; row < kPanelRows; row += kLanes) {
      const VF acc = hn::Load(DF(), p.sums + row);
      StoreScale(Fold(acc, hn::Load(DI(), p.scaled + row), PackedHalf(p.block, 0, row), x.scale), p.sums, row);
    }
  }
};

template <DType kType, QuantMultiply kWay, size_t kPanels>
HWY_NOINLINE void StreamedSuperPanels(const QuantJob& job, const size_t (&panels)[kPanels]) {
  using Type = Super<kType, kWay>;
  SuperPanel all[kPanels];
  for (size_t b = 0; b < job.x.k / kSuperBlock; ++b) {
    const XBlock x = XBlockOf(job, b, 0);
    for (size_t p = 0; p < kPanels; ++p) {
      all[p].block = job.w->panel(panels[p]) + b * PackedBlock<kType>::kBytes;
      Type::Begin(x, all[p]);
    }
    Unroll<4>([&](auto part) STABLELM_INLINE_LAMBDA {
      for (SuperPanel& p : all) Type::template AddPart<part>(x, p);
    });
    for (SuperPanel& p : all) Type::End(x, p);
  }
  for (size_t p = 0; p < kPanels; ++p) StoreRow(job.out, 0, panels[p], all[p].sums);
}

// ------------------------------------------------------------------------------------------------------------ steps

// All MR rows of x with kPanels panels at the same time.
template <DType kType, QuantMultiply kWay, size_t MR, size_t kPanels>
HWY_NOINLINE void StreamedPanels(const QuantJob& job, const size_t (&panels)[kPanels]) {
  const DF d;
  HWY_ALIGN float sums[kPanels][MR][kPanelRows] = {};
  for (size_t b = 0; b < job.x.k / PackedBlock<kType>::kElements; ++b) {
    XBlock x[MR];
    Unroll<MR>([&](auto m) STABLELM_INLINE_LAMBDA { x[m] = XBlockOf(job, b, m); });
    for (size_t p = 0; p < kPanels; ++p) {
      const std::byte* const block = job.w->panel(panels[p]) + b * PackedBlock<kType>::kBytes;
      for (size_t row = 0; row < kPanelRows; row += kPassRows) {
        VF acc[MR][kVectors];
        Unroll<MR * kVectors>([&](auto i) STABLELM_INLINE_LAMBDA {
          acc[i / kVectors][i % kVectors] = hn::Load(d, sums[p][i / kVectors] + row + i % kVectors * kLanes);
        });
        Block<kType, kWay, MR>::Add(block, row, x, acc);
        Unroll<MR * kVectors>([&](auto i) STABLELM_INLINE_LAMBDA {
          hn::Store(acc[i / kVectors][i % kVectors], d, sums[p][i / kVectors] + row + i % kVectors * kLanes);
        });
      }
    }
  }
  for (size_t p = 0; p < kPanels; ++p) {
    for (size_t m = 0; m < MR; ++m) StoreRow(job.out, m, panels[p], sums[p][m]);
  }
}

// One step. Panels that are read one after the other are adjacent. Panels that are read at the same time are far apart,
// so that each has its own memory stream, and the next step continues where both end.
template <DType kType, QuantMultiply kWay, size_t MR>
void StreamedStep(const QuantJob& job, size_t step) {
  const auto side_by_side = [&]<size_t kPanels>(const size_t(&panels)[kPanels]) {
    if constexpr (kSuperBlocks<kType>) {
      StreamedSuperPanels<kType, kWay>(job, panels);
    } else {
      StreamedPanels<kType, kWay, MR>(job, panels);
    }
  };
  const size_t panels = job.w->panels();
  constexpr TwoPanels kTwo = kTwoPanels<kType, kWay, MR>;
  if constexpr (kTwo != TwoPanels::kNever) {
    if (kTwo == TwoPanels::kAlways || job.far) {
      const size_t second = step + QuantStreamedSteps(panels);
      return second < panels ? side_by_side({step, second}) : side_by_side({step});
    }
  }
  if constexpr (kTwo != TwoPanels::kAlways) {
    StreamedPanels<kType, kWay, MR, 1>(job, {2 * step});
    if (2 * step + 1 < panels) StreamedPanels<kType, kWay, MR, 1>(job, {2 * step + 1});
  }
}

template <DType kType, QuantMultiply kWay>
void StreamedOfType(const QuantJob& job, size_t begin, size_t end) {
  static_assert(kMaxQuantStreamedRows == 2);
  for (size_t step = begin; step < end; ++step) {
    job.rows == 1 ? StreamedStep<kType, kWay, 1>(job, step) : StreamedStep<kType, kWay, 2>(job, step);
  }
}

template <QuantMultiply kWay>
void StreamedBy(const QuantJob& job, size_t begin, size_t end) {
  WithQuantType(job.w->type(), [&](auto type) STABLELM_INLINE_LAMBDA { StreamedOfType<type, kWay>(job, begin, end); });
}

size_t MaxRows() { return kMaxQuantStreamedRows; }
void Streamed(const QuantJob& job, size_t begin, size_t end) {
#if STABLELM_HAS_DOT
  if (job.dots) return StreamedBy<QuantMultiply::kDot>(job, begin, end);
#endif
  StreamedBy<QuantMultiply::kPairs>(job, begin, end);
}
#else
size_t MaxRows() { return 0; }
void Streamed(const QuantJob&, size_t, size_t) { STABLELM_CHECK(false); }
#endif

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(MaxRows);
HWY_EXPORT(Streamed);
}  // namespace

size_t QuantStreamedRows() { return HWY_DYNAMIC_DISPATCH(MaxRows)(); }

void QuantMatMulStreamed(const QuantJob& job, size_t begin, size_t end) {
  HWY_DYNAMIC_DISPATCH(Streamed)(job, begin, end);
}

}  // namespace stablelm
#endif  // HWY_ONCE
