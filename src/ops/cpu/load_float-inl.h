// Loads one vector of stored values (fp32, fp16, bf16 at any byte address) as fp32. Included once per SIMD target.
#if defined(STABLELM_OPS_LOAD_FLOAT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STABLELM_OPS_LOAD_FLOAT_INL_H_
#undef STABLELM_OPS_LOAD_FLOAT_INL_H_
#else
#define STABLELM_OPS_LOAD_FLOAT_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {

// Lanes(d) elements of type T (float, F16, BF16) starting at `p`.
template <typename T, class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V LoadFloats(D d, const std::byte* HWY_RESTRICT p) {
  namespace hn = hwy::HWY_NAMESPACE;
  if constexpr (std::is_same_v<T, float>) {
    return hn::LoadU(d, reinterpret_cast<const float*>(p));
  } else {
    const hn::Rebind<uint16_t, D> du16;
    const hn::Repartition<uint32_t, D> du32;
    const auto bits = hn::LoadU(du16, reinterpret_cast<const uint16_t*>(p));
    if constexpr (std::is_same_v<T, BF16>) {
      return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du32, bits)));
    } else {
      static_assert(std::is_same_v<T, F16>);
#if HWY_TARGET <= HWY_AVX2 || HWY_TARGET == HWY_NEON
      const hn::Rebind<hwy::float16_t, D> df16;
      return hn::PromoteTo(d, hn::BitCast(df16, bits));
#else
      // Without F16C: scale by 2^112 in fp32, which is exact for subnormals too; infinity and NaN are handled
      // separately.
      const auto wide = hn::PromoteTo(du32, bits);
      const auto sign = hn::ShiftLeft<16>(hn::And(wide, hn::Set(du32, 0x8000u)));
      const auto magnitude = hn::ShiftLeft<13>(hn::And(wide, hn::Set(du32, 0x7FFFu)));
      const auto scaled = hn::BitCast(du32, hn::Mul(hn::BitCast(d, magnitude), hn::Set(d, 0x1p112f)));
      const auto special = hn::Eq(hn::And(magnitude, hn::Set(du32, 0x0F800000u)), hn::Set(du32, 0x0F800000u));
      const auto value = hn::IfThenElse(special, hn::Or(magnitude, hn::Set(du32, 0x7F800000u)), scaled);
      return hn::BitCast(d, hn::Or(value, sign));
#endif
    }
  }
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
