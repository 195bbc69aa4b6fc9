#include <cstring>

#include "base/error.h"
#include "ops/quant/blocks.h"
#include "ops/quant/quant_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/quant/decode_row.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes, so that no vector crosses the border of a sub-block of 16.
using DF = hn::CappedTag<float, 16>;
using DI = hn::RebindToSigned<DF>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;

HWY_INLINE VI Bytes(const uint8_t* p) { return hn::PromoteTo(DI(), hn::LoadU(hn::Rebind<uint8_t, DF>(), p)); }
HWY_INLINE VF Floats(VI v) { return hn::ConvertTo(DF(), v); }

HWY_INLINE void DecodeOne(const BlockQ8_0& block, float* out) {
  const VF d = hn::Set(DF(), ToFloat(block.d));
  for (size_t j = 0; j < 32; j += hn::Lanes(DF())) {
    const VI q = hn::PromoteTo(DI(), hn::LoadU(hn::Rebind<int8_t, DF>(), block.q + j));
    hn::StoreU(hn::Mul(d, Floats(q)), DF(), out + j);
  }
}

HWY_INLINE void DecodeOne(const BlockQ4_0& block, float* out) {
  const VF d = hn::Set(DF(), ToFloat(block.d));
  const VI eight = hn::Set(DI(), 8);
  for (size_t j = 0; j < 16; j += hn::Lanes(DF())) {
    const VI q = Bytes(block.q + j);
    hn::StoreU(hn::Mul(d, Floats(hn::Sub(hn::And(q, hn::Set(DI(), 15)), eight))), DF(), out + j);
    hn::StoreU(hn::Mul(d, Floats(hn::Sub(hn::ShiftRight<4>(q), eight))), DF(), out + j + 16);
  }
}

// Two sub-blocks whose nibbles share bytes; `high(l, j)` returns the bits above the nibbles, already shifted.
template <class Block, class High>
HWY_INLINE void DecodeAffine(const Block& block, float* out, const High& high) {
  const float d = ToFloat(block.d), dmin = ToFloat(block.dmin);
  for (size_t j = 0; j < 8; j += 2) {
    const VF scale0 = hn::Set(DF(), d * static_cast<float>(AffineScale(block.s, j)));
    const VF scale1 = hn::Set(DF(), d * static_cast<float>(AffineScale(block.s, j + 1)));
    const VF minimum0 = hn::Set(DF(), dmin * static_cast<float>(AffineMinimum(block.s, j)));
    const VF minimum1 = hn::Set(DF(), dmin * static_cast<float>(AffineMinimum(block.s, j + 1)));
    for (size_t l = 0; l < 32; l += hn::Lanes(DF())) {
      const VI q = Bytes(block.q + 16 * j + l);
      const VI n0 = hn::Or(hn::And(q, hn::Set(DI(), 15)), high(l, j));
      const VI n1 = hn::Or(hn::ShiftRight<4>(q), high(l, j + 1));
      hn::StoreU(hn::Sub(hn::Mul(scale0, Floats(n0)), minimum0), DF(), out + 32 * j + l);
      hn::StoreU(hn::Sub(hn::Mul(scale1, Floats(n1)), minimum1), DF(), out + 32 * j + 32 + l);
    }
  }
}

HWY_INLINE void DecodeOne(const BlockQ4_K& block, float* out) {
  DecodeAffine(block, out, [](size_t, size_t) HWY_ATTR { return hn::Zero(DI()); });
}

HWY_INLINE void DecodeOne(const BlockQ5_K& block, float* out) {
  DecodeAffine(block, out, [&](size_t l, size_t j) HWY_ATTR {
    const VI bits = hn::ShiftRightSame(Bytes(block.high + l), static_cast<int>(j));
    return hn::ShiftLeft<4>(hn::And(bits, hn::Set(DI(), 1)));
  });
}

HWY_INLINE void DecodeOne(const BlockQ6_K& block, float* out) {
  const float d = ToFloat(block.d);
  for (size_t t = 0; t < 2; ++t) {
    for (size_t l = 0; l < 32; l += hn::Lanes(DF())) {
      const VI low[2] = {Bytes(block.low + 64 * t + l), Bytes(block.low + 64 * t + 32 + l)};
      const VI high = Bytes(block.high + 32 * t + l);
      for (size_t r = 0; r < 4; ++r) {
        const VI nibble = hn::And(hn::ShiftRightSame(low[r & 1], r < 2 ? 0 : 4), hn::Set(DI(), 15));
        const VI two = hn::And(hn::ShiftRightSame(high, static_cast<int>(2 * r)), hn::Set(DI(), 3));
        const VI n = hn::Sub(hn::Or(nibble, hn::ShiftLeft<4>(two)), hn::Set(DI(), 32));
        const VF scale = hn::Set(DF(), d * static_cast<float>(block.scale[8 * t + 2 * r + l / 16]));
        hn::StoreU(hn::Mul(scale, Floats(n)), DF(), out + 128 * t + 32 * r + l);
      }
    }
  }
}

template <typename Block>
void DecodeBlocks(const std::byte* row, float* out, size_t blocks) {
  const auto length = static_cast<size_t>(BlockElements(kDTypeOf<Block>));
  for (size_t i = 0; i < blocks; ++i) DecodeOne(LoadBlock<Block>(row, i), out + i * length);
}

void DecodeRowTarget(DType type, const std::byte* row, float* out, size_t blocks) {
  switch (type) {
    case DType::kQ8_0:
      return DecodeBlocks<BlockQ8_0>(row, out, blocks);
    case DType::kQ4_0:
      return DecodeBlocks<BlockQ4_0>(row, out, blocks);
    case DType::kQ4_K:
      return DecodeBlocks<BlockQ4_K>(row, out, blocks);
    case DType::kQ5_K:
      return DecodeBlocks<BlockQ5_K>(row, out, blocks);
    default:
      return DecodeBlocks<BlockQ6_K>(row, out, blocks);
  }
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(DecodeRowTarget);
}  // namespace

void DecodeRow(DType type, const std::byte* row, std::span<float> out) {
  const auto length = static_cast<size_t>(BlockElements(type));
  STABLELM_CHECK(IsQuantized(type) && out.size() % length == 0);
  if (IsDecodeOnly(type)) return DecodeOnlyRow(type, row, out);
  HWY_DYNAMIC_DISPATCH(DecodeRowTarget)(type, row, out.data(), out.size() / length);
}

}  // namespace stablelm
#endif  // HWY_ONCE
