// A lane holds a weight row, as in the products with quantized weights (ops/cpu/quant_products-inl.h): 32 columns of a
// panel are decoded side by side, column after column, and then transposed. A product of many rows spreads that over
// the rows that it multiplies with the piece.
#include "ops/cpu/decode_turned.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/decode_turned.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "base/error.h"
#include "ops/cpu/quant_products-inl.h"
#include "ops/cpu/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {

// Bits [shift, shift + 8 or less) of each word, by mask.
HWY_INLINE VI Bits(VI words, size_t shift, int32_t mask) {
  return hn::And(hn::ShiftRightSame(words, static_cast<int>(shift)), hn::Set(DI(), mask));
}
// Byte `byte` of each word, signed.
HWY_INLINE VI SignedByte(VI words, size_t byte) {
  return hn::ShiftRight<24>(hn::ShiftLeftSame(words, static_cast<int>(24 - 8 * byte)));
}
HWY_INLINE VF Floats(VI v) { return hn::ConvertTo(DF(), v); }

// Each decodes kSmallBlock columns of kLanes rows from `row` on: column c of lane r to out[c * kPanelRows + r]. `at` is
// the packed block, `part` the columns' index in it. The operations are those of DecodeRow (ops/quant/decode_row.cc),
// rounding by rounding.
static_assert(kSmallBlock == kPanelRows);

HWY_INLINE void DecodeLanes(std::integral_constant<DType, DType::kQ8_0>, const std::byte* at, size_t, size_t row,
                            float* out) {
  const VF d = PackedHalf(at, 0, row);
  for (size_t i = 0; i < 8; ++i) {
    const VI word = PackedWord(at + PackedBlock<DType::kQ8_0>::kQuants, i, row);
    for (size_t byte = 0; byte < 4; ++byte) {
      hn::Store(hn::Mul(d, Floats(SignedByte(word, byte))), DF(), out + (4 * i + byte) * kPanelRows);
    }
  }
}

HWY_INLINE void DecodeLanes(std::integral_constant<DType, DType::kQ4_0>, const std::byte* at, size_t, size_t row,
                            float* out) {
  const VF d = PackedHalf(at, 0, row);
  const VI eight = hn::Set(DI(), 8);
  for (size_t i = 0; i < 4; ++i) {
    const VI word = PackedWord(at + PackedBlock<DType::kQ4_0>::kQuants, i, row);
    for (size_t byte = 0; byte < 4; ++byte) {
      float* const low = out + (4 * i + byte) * kPanelRows;
      hn::Store(hn::Mul(d, Floats(hn::Sub(Bits(word, 8 * byte, 15), eight))), DF(), low);
      hn::Store(hn::Mul(d, Floats(hn::Sub(Bits(word, 8 * byte + 4, 15), eight))), DF(), low + 16 * kPanelRows);
    }
  }
}

template <DType kType>
HWY_INLINE void DecodeAffineLanes(const std::byte* at, size_t part, size_t row, float* out) {
  using Packed = PackedBlock<kType>;
  const AffineFactors factors = UnpackAffine(at + Packed::kScales, row);
  const size_t of_word = 8 * (part % 4);
  const VF scale =
      hn::Mul(PackedHalf(at, 0, row), Floats(Bits(part < 4 ? factors.scale[0] : factors.scale[1], of_word, 0xFF)));
  const VF minimum =
      hn::Mul(PackedHalf(at, 1, row), Floats(Bits(part < 4 ? factors.minimum[0] : factors.minimum[1], of_word, 0xFF)));
  for (size_t i = 0; i < 8; ++i) {
    const VI word = PackedWord(at + Packed::kQuants, part / 2 * 8 + i, row);
    VI high = hn::Zero(DI());
    if constexpr (kType == DType::kQ5_K) high = PackedWord(at + Packed::kHigh, i, row);
    for (size_t byte = 0; byte < 4; ++byte) {
      VI n = Bits(word, 8 * byte + part % 2 * 4, 15);
      if constexpr (kType == DType::kQ5_K) n = hn::Or(n, hn::ShiftLeft<4>(Bits(high, 8 * byte + part, 1)));
      hn::Store(hn::Sub(hn::Mul(scale, Floats(n)), minimum), DF(), out + (4 * i + byte) * kPanelRows);
    }
  }
}
HWY_INLINE void DecodeLanes(std::integral_constant<DType, DType::kQ4_K>, const std::byte* at, size_t part, size_t row,
                            float* out) {
  DecodeAffineLanes<DType::kQ4_K>(at, part, row, out);
}
HWY_INLINE void DecodeLanes(std::integral_constant<DType, DType::kQ5_K>, const std::byte* at, size_t part, size_t row,
                            float* out) {
  DecodeAffineLanes<DType::kQ5_K>(at, part, row, out);
}

// Part 4 t + r holds sub-blocks 8 t + 2 r and 8 t + 2 r + 1.
HWY_INLINE void DecodeLanes(std::integral_constant<DType, DType::kQ6_K>, const std::byte* at, size_t part, size_t row,
                            float* out) {
  using Packed = PackedBlock<DType::kQ6_K>;
  const size_t t = part / 4, r = part % 4;
  const VF d = PackedHalf(at, 0, row);
  const VI scales = PackedWord(at + Packed::kScales, part / 2, row);
  for (size_t i = 0; i < 8; ++i) {
    const VF scale = hn::Mul(d, Floats(SignedByte(scales, part % 2 * 2 + i / 4)));
    const VI low = PackedWord(at + Packed::kLow, 16 * t + r % 2 * 8 + i, row);
    const VI high = PackedWord(at + Packed::kHigh, 8 * t + i, row);
    for (size_t byte = 0; byte < 4; ++byte) {
      const VI n = hn::Or(Bits(low, 8 * byte + r / 2 * 4, 15), hn::ShiftLeft<4>(Bits(high, 8 * byte + 2 * r, 3)));
      hn::Store(hn::Mul(scale, Floats(hn::Sub(n, hn::Set(DI(), 32)))), DF(), out + (4 * i + byte) * kPanelRows);
    }
  }
}

template <DType kType>
void DecodeTurnedOf(const PackedMatrix& w, size_t first, size_t n0, size_t count, float* out) {
  using Packed = PackedBlock<kType>;
  const size_t block = first / Packed::kElements, part = first % Packed::kElements / kSmallBlock;
  const size_t width = std::min(kPanelRows, w.columns() - first);  // all of them: blocks are whole
  HWY_ALIGN float columns[kSmallBlock * kPanelRows];
  for (size_t n = 0; n < count; n += kPanelRows) {
    const std::byte* const at = w.panel((n0 + n) / kPanelRows) + block * Packed::kBytes;
    for (size_t row = 0; row < kPanelRows; row += kLanes) {
      DecodeLanes(std::integral_constant<DType, kType>(), at, part, row, columns + row);
    }
    TransposeFloats(columns, width, out + n * kPanelRows);
  }
}

void Decode(const PackedMatrix& w, size_t first, size_t n0, size_t count, float* out) {
  switch (w.type()) {
    case DType::kQ8_0:
      return DecodeTurnedOf<DType::kQ8_0>(w, first, n0, count, out);
    case DType::kQ4_0:
      return DecodeTurnedOf<DType::kQ4_0>(w, first, n0, count, out);
    case DType::kQ4_K:
      return DecodeTurnedOf<DType::kQ4_K>(w, first, n0, count, out);
    case DType::kQ5_K:
      return DecodeTurnedOf<DType::kQ5_K>(w, first, n0, count, out);
    case DType::kQ6_K:
      return DecodeTurnedOf<DType::kQ6_K>(w, first, n0, count, out);
    default:
      STABLELM_CHECK(false);
  }
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(Decode);
}  // namespace

void DecodeTurned(const PackedMatrix& w, size_t first, size_t n0, size_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(Decode)(w, first, n0, count, out);
}

}  // namespace stablelm
#endif  // HWY_ONCE
