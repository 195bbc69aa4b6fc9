// Words of quants times words of activations, for the products of quantized weights. Included once per SIMD target.
//
// A vector holds words of as many weight rows; a word is four quants of one row, and meets the same four activations of
// a row of x. The ways to multiply them (QuantMultiply) differ in speed alone: every sum is an exact integer.
//   kDot    one instruction multiplies four bytes and adds the products to a 32-bit sum (VNNI, AVX-VNNI, Arm's dot
//           product)
//   kPairs  sums of two products in 16 bits, some of which are added up before they are widened with a factor
//   kPlain  32-bit arithmetic
#if defined(STABLELM_OPS_QUANT_PRODUCTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STABLELM_OPS_QUANT_PRODUCTS_INL_H_
#undef STABLELM_OPS_QUANT_PRODUCTS_INL_H_
#else
#define STABLELM_OPS_QUANT_PRODUCTS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "ops/cpu/load_float-inl.h"
#include "ops/cpu/matmul_quant_cpu.h"
#include "ops/cpu/store_row.h"
#include "ops/quant/blocks.h"

// Which ways a target has beside kPlain. Where words are multiplied by kDot, the caller has asked the machine. Clang
// refuses Arm's dot product unless the whole program may use it.
#undef STABLELM_HAS_PAIRS
#undef STABLELM_HAS_DOT
#if HWY_TARGET <= HWY_AVX2 || HWY_TARGET == HWY_NEON
#define STABLELM_HAS_PAIRS 1
#else
#define STABLELM_HAS_PAIRS 0
#endif
#if STABLELM_HAS_PAIRS && (HWY_TARGET != HWY_NEON || HWY_COMPILER_GCC_ACTUAL || defined(__ARM_FEATURE_DOTPROD))
#define STABLELM_HAS_DOT 1
#else
#define STABLELM_HAS_DOT 0
#endif

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<DF>;
using D16 = hn::Repartition<int16_t, DI>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;

constexpr size_t kLanes = hn::MaxLanes(DF());
static_assert(kPanelRows % kLanes == 0);

// Of lambdas that must become part of the loop around them.
#define STABLELM_INLINE_LAMBDA HWY_ATTR __attribute__((always_inline))

// Keeps the additions to a vector where they are written: g++ 12 else moves the products of a whole tile in front of
// all additions and spills them, which took two fifths of the speed on AVX2.
HWY_INLINE void KeepOrder([[maybe_unused]] VI& sum) {
#if HWY_TARGET <= HWY_AVX2
  asm("" : "+v"(sum.raw));
#endif
}

// body(0) ... body(N - 1), each with its number as a constant: arrays of vectors that it indexes stay in registers.
template <size_t N, class Body>
HWY_INLINE void Unroll(const Body& body) {
  const auto all = [&]<size_t... I>(std::index_sequence<I...>) STABLELM_INLINE_LAMBDA {
    (body(std::integral_constant<size_t, I>()), ...);
  };
  all(std::make_index_sequence<N>());
}

// Whether AddWord takes the bytes of `w` as signed; else as unsigned. Both are right for those below 128.
template <QuantMultiply kWay>
inline constexpr bool kSignedWords = HWY_TARGET == HWY_NEON&& kWay == QuantMultiply::kDot;

// Each word in a lane of its own: bytes of `w` times signed bytes of `x`, added to `sum`. By kPairs the sum is of
// 16-bit halves, which the caller keeps from overflowing, and NEON wants bytes of `w` below 128.
template <QuantMultiply kWay>
HWY_INLINE void AddWord(VI& sum, VI w, VI x) {
#if HWY_TARGET <= HWY_AVX3
  if constexpr (kWay == QuantMultiply::kDot) {
    // In assembly, because Highway has no target that promises VNNI without more; the caller has asked the machine.
    asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(w.raw), "v"(x.raw));
    return;
  } else if constexpr (kWay == QuantMultiply::kPairs) {
    sum.raw = _mm512_add_epi16(sum.raw, _mm512_maddubs_epi16(w.raw, x.raw));
    KeepOrder(sum);
    return;
  }
#elif HWY_TARGET == HWY_AVX2
  if constexpr (kWay == QuantMultiply::kDot) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.raw) : "x"(w.raw), "x"(x.raw));
    return;
  } else if constexpr (kWay == QuantMultiply::kPairs) {
    sum.raw = _mm256_add_epi16(sum.raw, _mm256_maddubs_epi16(w.raw, x.raw));
    KeepOrder(sum);
    return;
  }
#elif HWY_TARGET == HWY_NEON
#if STABLELM_HAS_DOT
  if constexpr (kWay == QuantMultiply::kDot) {
    asm(
#if HWY_COMPILER_GCC_ACTUAL
        ".arch armv8.2-a+crypto+dotprod\n\t"
#endif
        "sdot %0.4s, %1.16b, %2.16b"
        : "+w"(sum.raw)
        : "w"(w.raw), "w"(x.raw));
    return;
  }
#endif
  if constexpr (kWay == QuantMultiply::kPairs) {
    const int8x16_t w8 = vreinterpretq_s8_s32(w.raw), x8 = vreinterpretq_s8_s32(x.raw);
    const int16x8_t pairs = vpaddq_s16(vmull_s8(vget_low_s8(w8), vget_low_s8(x8)), vmull_high_s8(w8, x8));
    sum.raw = vreinterpretq_s32_s16(vaddq_s16(vreinterpretq_s16_s32(sum.raw), pairs));
    return;
  }
#endif
  const DI d;
  for (int byte = 0; byte < 4; ++byte) {
    const VI unsigned_byte = hn::And(hn::ShiftRightSame(w, 8 * byte), hn::Set(d, 0xFF));
    const VI signed_byte = hn::ShiftRight<24>(hn::ShiftLeftSame(x, 24 - 8 * byte));
    sum = hn::Add(sum, hn::Mul(unsigned_byte, signed_byte));
  }
}

// total + factor * sum. By kPairs the factor is in both halves of each lane, signed.
template <QuantMultiply kWay>
HWY_INLINE VI AddScaled(VI total, VI factor, VI sum) {
#if HWY_TARGET <= HWY_AVX3
  if constexpr (kWay == QuantMultiply::kPairs) {
    total.raw = _mm512_add_epi32(total.raw, _mm512_madd_epi16(sum.raw, factor.raw));
    return total;
  }
#elif HWY_TARGET == HWY_AVX2
  if constexpr (kWay == QuantMultiply::kPairs) {
    total.raw = _mm256_add_epi32(total.raw, _mm256_madd_epi16(sum.raw, factor.raw));
    return total;
  }
#elif HWY_TARGET == HWY_NEON
  if constexpr (kWay == QuantMultiply::kPairs) {
    const int16x8_t s = vreinterpretq_s16_s32(sum.raw), f = vreinterpretq_s16_s32(factor.raw);
    const int32x4_t pairs = vpaddq_s32(vmull_s16(vget_low_s16(s), vget_low_s16(f)), vmull_high_s16(s, f));
    total.raw = vaddq_s32(total.raw, pairs);
    return total;
  }
#endif
  return hn::Add(total, hn::Mul(factor, sum));
}

// The factor n of AddScaled, for all lanes.
template <QuantMultiply kWay>
HWY_INLINE VI ConstantFactor(int32_t n) {
  return hn::Set(DI(), kWay == QuantMultiply::kPairs ? n * 0x10001 : n);
}

// total + sum, which AddWord made.
template <QuantMultiply kWay>
HWY_INLINE VI AddSum(VI total, VI sum) {
  if constexpr (kWay == QuantMultiply::kPairs) return AddScaled<kWay>(total, ConstantFactor<kWay>(1), sum);
  return hn::Add(total, sum);
}

#if STABLELM_HAS_PAIRS
// Byte i of each word becomes byte kBytes[i] of that word, or zero where that is negative.
template <int... kBytes>
HWY_INLINE VI ShuffleWords(VI words) {
  static_assert(sizeof...(kBytes) == 4);
  const hn::Repartition<uint8_t, DI> d;
  alignas(16) static constexpr std::array<uint8_t, 16> kFrom = [] {
    constexpr int kOfWord[] = {kBytes...};
    std::array<uint8_t, 16> from{};
    for (int i = 0; i < 16; ++i) from[i] = kOfWord[i % 4] < 0 ? 0x80 : static_cast<uint8_t>(i / 4 * 4 + kOfWord[i % 4]);
    return from;
  }();
  const auto from = hn::LoadDup128(d, kFrom.data());
  return hn::BitCast(DI(), hn::TableLookupBytesOr0(hn::BitCast(d, words), from));
}
// Signed bytes kLow and kHigh of each word as the 16-bit halves of a lane.
template <int kLow, int kHigh>
HWY_INLINE VI SignedHalves(VI words) {
  return hn::BitCast(DI(), hn::ShiftRight<8>(hn::BitCast(D16(), ShuffleWords<-1, kLow, -1, kHigh>(words))));
}
#endif

// Byte kByte of each word as a factor for AddScaled: unsigned and below 128, or signed.
template <QuantMultiply kWay, size_t kByte>
HWY_INLINE VI UnsignedFactor(VI words) {
#if STABLELM_HAS_PAIRS
  if constexpr (kWay == QuantMultiply::kPairs) return ShuffleWords<kByte, -1, kByte, -1>(words);
#endif
  return hn::And(hn::ShiftRight<8 * kByte>(words), hn::Set(DI(), 0xFF));
}
template <QuantMultiply kWay, size_t kByte>
HWY_INLINE VI SignedFactor(VI words) {
#if STABLELM_HAS_PAIRS
  if constexpr (kWay == QuantMultiply::kPairs) return SignedHalves<kByte, kByte>(words);
#endif
  return hn::ShiftRight<24>(hn::ShiftLeft<24 - 8 * kByte>(words));
}

// Four quants of Q8_0 as AddWord takes them: as they are, or q + 128, without sign.
template <QuantMultiply kWay>
HWY_INLINE VI SmallQuants(VI word) {
  if constexpr (kSignedWords<kWay>) return word;
  return hn::Xor(word, hn::Set(DI(), static_cast<int32_t>(0x80808080u)));
}
// What sums with a block of Q8_0 or Q4_0 begin with; `offset`: of the block of x.
template <DType kType, QuantMultiply kWay>
HWY_INLINE VI SmallOffset(const int32_t* offset) {
  if constexpr (kType == DType::kQ8_0 && kSignedWords<kWay>) return hn::Zero(DI());
  return hn::Set(DI(), *offset);
}

HWY_INLINE VI LowNibbles(VI w) { return hn::And(w, hn::Set(DI(), 0x0F0F0F0F)); }
HWY_INLINE VI HighNibbles(VI w) { return LowNibbles(hn::ShiftRight<4>(w)); }
// (w & mask of every byte) | low. The mask keeps bits that a shift by whole words may bring from a neighbour out.
HWY_INLINE VI OrMasked(VI low, VI w, int32_t byte_mask) {
  return hn::Or(low, hn::And(w, hn::Set(DI(), byte_mask * 0x01010101)));
}

// The bits of sub-block kSub of a word of Q5_K's high bits, at bit 4 of each byte, among others.
template <size_t kSub>
HWY_INLINE VI FifthBits(VI high) {
  if constexpr (kSub <= 4) {
    return hn::ShiftLeft<4 - kSub>(high);
  } else {
    return hn::ShiftRight<kSub - 4>(high);
  }
}

// acc + sum * (scale * x's scale), the product rounded first.
HWY_INLINE VF Fold(VF acc, VI sum, VF scale, const float* x_scale) {
  const DF d;
  return hn::MulAdd(hn::ConvertTo(d, sum), hn::Mul(scale, hn::Set(d, *x_scale)), acc);
}
HWY_INLINE VF FoldNegated(VF acc, VI sum, VF scale, const float* x_scale) {
  const DF d;
  return hn::NegMulAdd(hn::ConvertTo(d, sum), hn::Mul(scale, hn::Set(d, *x_scale)), acc);
}

// A field of a packed block (ops/packed_matrix.h) that begins at byte `at`: unit i of the kLanes weight rows from
// `row`.
HWY_INLINE VF PackedHalf(const std::byte* at, size_t i, size_t row) {
  return LoadFloats<F16>(DF(), at + (i * kPanelRows + row) * 2);
}
HWY_INLINE VI PackedWord(const std::byte* at, size_t i, size_t row) {
  return hn::LoadU(DI(), reinterpret_cast<const int32_t*>(at + (i * kPanelRows + row) * 4));
}

// How far ahead memory is asked for: past its latency at the speed of one thread. Less than 4 KiB loses a quarter of
// the speed of decoding, 8 to 16 KiB are alike. Panels lie one after the other, so that the last blocks of one ask for
// the first of the next.
constexpr size_t kAheadBytes = 9216;
// Asks for share `i` of `shares` of `bytes` bytes that are read kAheadBytes after those from `from` on, into the first
// cache level, by one instruction: the machine sees one that walks through memory and goes further ahead of it by
// itself, which many that jump from block to block keep it from.
HWY_INLINE void FetchShare(const std::byte* from, size_t bytes, size_t i, size_t shares) {
  const size_t share = (bytes / shares + 63) / 64 * 64;
  const std::byte* const first = from + kAheadBytes;
  const std::byte* const end = first + std::min(bytes, (i + 1) * share);
  for (const std::byte* line = first + std::min(bytes, i * share); line < end; line += 64) {
    __builtin_prefetch(line, 0, 3);
    asm volatile("" : "+r"(line));  // keeps the compiler from unrolling it
  }
}

// Units of kLanes weight rows from `row` on, unpacked.
HWY_INLINE void StoreWord(VI words, int32_t (&to)[kPanelRows], size_t row) { hn::Store(words, DI(), to + row); }
HWY_INLINE void StoreScale(VF scale, float (&to)[kPanelRows], size_t row) { hn::Store(scale, DF(), to + row); }

// A packed block of a type: columns, bytes, and where its fields begin.
template <class Stored, size_t kElementsOf>
struct PackedBlockOf {
  static constexpr size_t kElements = kElementsOf, kBytes = sizeof(Stored) * kPanelRows;
};
template <DType kType>
struct PackedBlock;
template <>
struct PackedBlock<DType::kQ8_0> : PackedBlockOf<BlockQ8_0, kSmallBlock> {
  static constexpr size_t kQuants = 2 * kPanelRows;
};
template <>
struct PackedBlock<DType::kQ4_0> : PackedBlockOf<BlockQ4_0, kSmallBlock> {
  static constexpr size_t kQuants = 2 * kPanelRows;
};
template <>
struct PackedBlock<DType::kQ4_K> : PackedBlockOf<BlockQ4_K, kSuperBlock> {
  static constexpr size_t kScales = 4 * kPanelRows, kQuants = kScales + 12 * kPanelRows;
};
template <>
struct PackedBlock<DType::kQ5_K> : PackedBlockOf<BlockQ5_K, kSuperBlock> {
  static constexpr size_t kScales = 4 * kPanelRows, kHigh = kScales + 12 * kPanelRows;
  static constexpr size_t kQuants = kHigh + 32 * kPanelRows;
};
template <>
struct PackedBlock<DType::kQ6_K> : PackedBlockOf<BlockQ6_K, kSuperBlock> {
  static constexpr size_t kScales = 2 * kPanelRows, kLow = kScales + 16 * kPanelRows, kHigh = kLow + 128 * kPanelRows;
};

// Four quants of sub-block j of Q4_K or Q5_K, without sign: of bytes that it shares with its neighbour, and of Q5_K's
// word of fifth bits.
template <DType kType, size_t j>
HWY_INLINE VI AffineQuants(VI both, [[maybe_unused]] VI fifth) {
  const VI low = j % 2 ? HighNibbles(both) : LowNibbles(both);
  if constexpr (kType == DType::kQ5_K) return OrMasked(low, FifthBits<j>(fifth), 0x10);
  return low;
}
// All of a block: store(j, i, quants) gets word i of sub-block j, a constant.
template <DType kType, class Store>
HWY_INLINE void ForAffineQuants(const std::byte* w, size_t row, const Store& store) {
  using Packed = PackedBlock<kType>;
  for (size_t i = 0; i < 8; ++i) {
    VI fifth = hn::Zero(DI());
    if constexpr (kType == DType::kQ5_K) fifth = PackedWord(w + Packed::kHigh, i, row);
    Unroll<4>([&](auto pair) STABLELM_INLINE_LAMBDA {
      const std::integral_constant<size_t, 2 * pair> even;
      const std::integral_constant<size_t, 2 * pair + 1> odd;
      const VI both = PackedWord(w + Packed::kQuants, 8 * pair + i, row);
      store(even, i, AffineQuants<kType, even>(both, fifth));
      store(odd, i, AffineQuants<kType, odd>(both, fifth));
    });
  }
}

// Of Q6_K, whose sub-blocks are four words: the quants r = 0 ... 3 that take two bits each of one word of high bits.
template <size_t r>
HWY_INLINE VI SixQuants(VI both, VI high) {
  const VI low = r < 2 ? LowNibbles(both) : HighNibbles(both);
  if constexpr (r < 2) {
    return OrMasked(low, hn::ShiftLeft<4 - 2 * r>(high), 0x30);
  } else {
    return OrMasked(low, hn::ShiftRight<2 * r - 4>(high), 0x30);
  }
}
// Word i of quarter kPart of a block: store(r, quants) for all four, which are of sub-blocks 8 t + 2 r + half, where
// kPart = 2 t + half.
template <size_t kPart, class Store>
HWY_INLINE void ForSixQuantsOf(const std::byte* w, size_t i, size_t row, const Store& store) {
  using Packed = PackedBlock<DType::kQ6_K>;
  constexpr size_t kT = kPart / 2, kHalf = kPart % 2;
  const VI first = PackedWord(w + Packed::kLow, 16 * kT + 4 * kHalf + i, row),
           second = PackedWord(w + Packed::kLow, 16 * kT + 8 + 4 * kHalf + i, row),
           high = PackedWord(w + Packed::kHigh, 8 * kT + 4 * kHalf + i, row);
  Unroll<4>([&](auto r) STABLELM_INLINE_LAMBDA { store(r, SixQuants<r>(r % 2 ? second : first, high)); });
}
template <class Store>
HWY_INLINE void ForSixQuants(const std::byte* w, size_t row, const Store& store) {
  Unroll<4>([&](auto part) STABLELM_INLINE_LAMBDA {
    for (size_t i = 0; i < 4; ++i) {
      ForSixQuantsOf<part>(w, i, row, [&](auto r, VI quants) STABLELM_INLINE_LAMBDA {
        store(std::integral_constant<size_t, 8 * (part / 2) + 2 * r + part % 2>(), i, quants);
      });
    }
  });
}

// The 6-bit scales and minimums of a Q4_K or Q5_K block, four sub-blocks to a word.
struct AffineFactors {
  // An implicit constructor would be compiled for no target, which g++ refuses to call those of NEON's vectors from.
  HWY_INLINE AffineFactors() {}
  VI scale[2], minimum[2];
};
HWY_INLINE AffineFactors UnpackAffine(const std::byte* scales, size_t row) {
  const DI d;
  const VI first = PackedWord(scales, 0, row), second = PackedWord(scales, 1, row), rest = PackedWord(scales, 2, row);
  const VI six = hn::Set(d, 0x3F3F3F3F);
  AffineFactors factors;
  factors.scale[0] = hn::And(first, six);
  factors.scale[1] = OrMasked(LowNibbles(rest), hn::ShiftRight<2>(first), 0x30);
  factors.minimum[0] = hn::And(second, six);
  factors.minimum[1] = OrMasked(HighNibbles(rest), hn::ShiftRight<2>(second), 0x30);
  return factors;
}

// Sum over the sub-blocks of minimum times sum of x; `x`: OffsetWords of the block, spread over vectors.
template <QuantMultiply kWay>
HWY_INLINE VI SumOfMinimums(const VI (&minimum)[2], const VI (&x)[4]) {
  const DI d;
  VI high = hn::Zero(d), low = hn::Zero(d);
  AddWord<kWay>(high, minimum[0], x[0]);
  AddWord<kWay>(high, minimum[1], x[1]);
  AddWord<kWay>(low, minimum[0], x[2]);
  AddWord<kWay>(low, minimum[1], x[3]);
  return AddScaled<kWay>(AddSum<kWay>(hn::Zero(d), low), ConstantFactor<kWay>(128), high);
}

// body(std::integral_constant<DType, type>()) for a quantized type of small blocks.
template <class Body>
HWY_INLINE void WithSmallType(DType type, const Body& body) {
  switch (type) {
    case DType::kQ8_0:
      return body(std::integral_constant<DType, DType::kQ8_0>());
    case DType::kQ4_0:
      return body(std::integral_constant<DType, DType::kQ4_0>());
    default:
      STABLELM_CHECK(false);
  }
}
// The same for a type of super-blocks.
template <class Body>
HWY_INLINE void WithSuperType(DType type, const Body& body) {
  switch (type) {
    case DType::kQ4_K:
      return body(std::integral_constant<DType, DType::kQ4_K>());
    case DType::kQ5_K:
      return body(std::integral_constant<DType, DType::kQ5_K>());
    case DType::kQ6_K:
      return body(std::integral_constant<DType, DType::kQ6_K>());
    default:
      STABLELM_CHECK(false);
  }
}
// The same for every quantized type.
template <class Body>
HWY_INLINE void WithQuantType(DType type, const Body& body) {
  IsSuperType(type) ? WithSuperType(type, body) : WithSmallType(type, body);
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
