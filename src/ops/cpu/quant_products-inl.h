// Products of words of quants and words of activations, for quantized weights. Included once per SIMD target.
//
// Each lane of a vector holds a word of a different weight row. A word is four quants of that row, multiplied by the
// same four activations of a row of x. The ways to multiply them (QuantMultiply) differ only in speed: every sum is an
// exact integer.
//   kDot    one instruction multiplies four bytes and adds the products to a 32-bit sum (VNNI, AVX-VNNI, Arm's dot
//           product)
//   kPairs  16-bit sums of two products, some of which are added before a factor widens them to 32 bits
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

// Which ways a target has besides kPlain. Callers that use kDot have checked that the machine has it. Clang rejects
// Arm's dot product unless the whole program may use it.
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

// For lambdas that must be inlined into the surrounding loop.
#define STABLELM_INLINE_LAMBDA HWY_ATTR __attribute__((always_inline))

// Keeps additions to a vector where they are written: otherwise g++ 12 moves the products of a whole tile before all
// additions and spills them, which cost two fifths of the speed on AVX2.
HWY_INLINE void KeepOrder([[maybe_unused]] VI& sum) {
#if HWY_TARGET <= HWY_AVX2
  asm("" : "+v"(sum.raw));
#endif
}

// Calls body(0) ... body(N - 1), each index a compile-time constant, so that arrays of vectors that it indexes stay in
// registers.
template <size_t N, class Body>
HWY_INLINE void Unroll(const Body& body) {
  const auto all = [&]<size_t... I>(std::index_sequence<I...>) STABLELM_INLINE_LAMBDA {
    (body(std::integral_constant<size_t, I>()), ...);
  };
  all(std::make_index_sequence<N>());
}

// Whether AddWord treats the bytes of `w` as signed; else as unsigned. Both are correct for bytes below 128.
template <QuantMultiply kWay>
inline constexpr bool kSignedWords = HWY_TARGET == HWY_NEON&& kWay == QuantMultiply::kDot;

// In each lane, adds the products of the bytes of `w` and the signed bytes of `x` to `sum`. With kPairs the sum has
// 16-bit halves, which the caller keeps from overflowing, and NEON requires bytes of `w` below 128.
template <QuantMultiply kWay>
HWY_INLINE void AddWord(VI& sum, VI w, VI x) {
#if HWY_TARGET <= HWY_AVX3
  if constexpr (kWay == QuantMultiply::kDot) {
    // In assembly, because Highway has no target with VNNI and nothing more; the caller has checked the machine.
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

// total + factor * sum. With kPairs the factor is in both halves of each lane, signed.
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

// n as a factor for AddScaled, in all lanes.
template <QuantMultiply kWay>
HWY_INLINE VI ConstantFactor(int32_t n) {
  return hn::Set(DI(), kWay == QuantMultiply::kPairs ? n * 0x10001 : n);
}

// total + sum, where `sum` is a result of AddWord.
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

// Four quants of Q8_0 as AddWord reads them: unchanged, or as unsigned q + 128.
template <QuantMultiply kWay>
HWY_INLINE VI SmallQuants(VI word) {
  if constexpr (kSignedWords<kWay>) return word;
  return hn::Xor(word, hn::Set(DI(), static_cast<int32_t>(0x80808080u)));
}
// Initial value of sums over a block of Q8_0 or Q4_0; `offset` is that of the block of x.
template <DType kType, QuantMultiply kWay>
HWY_INLINE VI SmallOffset(const int32_t* offset) {
  if constexpr (kType == DType::kQ8_0 && kSignedWords<kWay>) return hn::Zero(DI());
  return hn::Set(DI(), *offset);
}

HWY_INLINE VI LowNibbles(VI w) { return hn::And(w, hn::Set(DI(), 0x0F0F0F0F)); }
HWY_INLINE VI HighNibbles(VI w) { return LowNibbles(hn::ShiftRight<4>(w)); }
// (w & byte_mask in every byte) | low. The mask clears bits that a shift of whole words moved in from a neighbouring
// byte.
HWY_INLINE VI OrMasked(VI low, VI w, int32_t byte_mask) {
  return hn::Or(low, hn::And(w, hn::Set(DI(), byte_mask * 0x01010101)));
}

// Moves the fifth bits of sub-block kSub, from a word of Q5_K's high bits, to bit 4 of each byte; other bits are
// garbage.
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

// Reads a field of a packed block (ops/packed_matrix.h) that starts at `at`: unit i of kLanes weight rows, starting at
// `row`.
HWY_INLINE VF PackedHalf(const std::byte* at, size_t i, size_t row) {
  return LoadFloats<F16>(DF(), at + (i * kPanelRows + row) * 2);
}
HWY_INLINE VI PackedWord(const std::byte* at, size_t i, size_t row) {
  return hn::LoadU(DI(), reinterpret_cast<const int32_t*>(at + (i * kPanelRows + row) * 4));
}

// Prefetch distance, in bytes: covers the memory latency at the speed of one thread. Less than 4 KiB loses a quarter of
// the decoding speed, 8 to 16 KiB are equal. Panels are contiguous, so the last blocks of one prefetch the first of the
// next.
constexpr size_t kPrefetchDistance = 9216;
// Prefetches into the L1 cache: share `i` of `shares` of the `bytes` bytes that lie kPrefetchDistance after `from`;
// with `far` (ops/cpu/stream_prefetch.h) also what lies at twice the distance, into the second level, with vectors of
// 512 bits: shorter ones take longer than memory (AVX2: up to 5 % slower). A loop around a single prefetch instruction,
// because the hardware prefetcher recognizes one instruction that walks through memory and runs further ahead by
// itself; it does not follow many instructions that jump from block to block.
HWY_INLINE void PrefetchShare(const std::byte* from, size_t bytes, bool far, size_t i, size_t shares) {
  const size_t share = (bytes / shares + 63) / 64 * 64;
  const std::byte* const first = from + kPrefetchDistance;
  const std::byte* const end = first + std::min(bytes, (i + 1) * share);
  for (const std::byte* line = first + std::min(bytes, i * share); line < end; line += 64) {
    __builtin_prefetch(line, 0, 3);
    if (kLanes == 16 && far) __builtin_prefetch(line + kPrefetchDistance, 0, 2);
    asm volatile("" : "+r"(line));  // keeps the compiler from unrolling the loop
  }
}

// Stores unpacked units of kLanes weight rows, starting at `row`.
HWY_INLINE void StoreWord(VI words, int32_t (&to)[kPanelRows], size_t row) { hn::Store(words, DI(), to + row); }
HWY_INLINE void StoreScale(VF scale, float (&to)[kPanelRows], size_t row) { hn::Store(scale, DF(), to + row); }

// A packed block of a type: columns, bytes, and byte offsets of its fields.
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

// Four unsigned quants of sub-block j of Q4_K or Q5_K: from the bytes that it shares with its neighbour and, for Q5_K,
// from a word of fifth bits.
template <DType kType, size_t j>
HWY_INLINE VI AffineQuants(VI both, [[maybe_unused]] VI fifth) {
  const VI low = j % 2 ? HighNibbles(both) : LowNibbles(both);
  if constexpr (kType == DType::kQ5_K) return OrMasked(low, FifthBits<j>(fifth), 0x10);
  return low;
}
// Calls store(j, i, quants) for every word i of every sub-block j of a block; j is a compile-time constant.
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

// Q6_K, whose sub-blocks are four words: the quants r = 0 ... 3, which take two bits each of one word of high bits.
template <size_t r>
HWY_INLINE VI SixQuants(VI both, VI high) {
  const VI low = r < 2 ? LowNibbles(both) : HighNibbles(both);
  if constexpr (r < 2) {
    return OrMasked(low, hn::ShiftLeft<4 - 2 * r>(high), 0x30);
  } else {
    return OrMasked(low, hn::ShiftRight<2 * r - 4>(high), 0x30);
  }
}
// For r = 0 ... 3, calls store(r, quants) with word i of sub-block 8 t + 2 r + half, where kPart = 2 t + half is a
// quarter of the block.
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
  // An implicit constructor would not be compiled for the target, and g++ refuses to call the constructors of NEON's
  // vectors from it.
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

// Sum over the sub-blocks of minimum times sum of x; `x`: OffsetWords of the block, each broadcast to a vector.
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

// Calls body(std::integral_constant<DType, type>()) for a quantized type of small blocks.
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
