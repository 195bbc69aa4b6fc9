#include "ops/convert.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/convert.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "base/error.h"
#include "ops/cpu/load_float-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <typename T>
void ToFloats(const std::byte* in, size_t n, float* out) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(LoadFloats<T>(d, in + i * sizeof(T)), d, out + i);
  for (; i < n; ++i) {
    T value;
    std::memcpy(&value, in + i * sizeof(T), sizeof(T));
    out[i] = ToFloat(value);
  }
}

void F16ToFloats(const std::byte* in, size_t n, float* out) { ToFloats<F16>(in, n, out); }
void BF16ToFloats(const std::byte* in, size_t n, float* out) { ToFloats<BF16>(in, n, out); }

// Branch-free form of ToF16, one element per 32-bit lane: some targets lack fp16 instructions or flush denormals, and
// Highway's emulation truncates.
void FloatsToF16(const float* in, size_t n, std::byte* out) {
  const hn::ScalableTag<float> df;
  const hn::Repartition<uint32_t, decltype(df)> du;
  const hn::Rebind<uint16_t, decltype(df)> du16;
  using VU = hn::Vec<decltype(du)>;
  const size_t lanes = hn::Lanes(df);
  size_t i = 0;
  HWY_ALIGN uint16_t packed[HWY_MAX_BYTES / 4];
  for (; i + lanes <= n; i += lanes) {
    const VU bits = hn::BitCast(du, hn::LoadU(df, in + i));
    const VU magnitude = hn::And(bits, hn::Set(du, 0x7FFFFFFFu));
    const VU sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 0x8000u));
    const VU odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 1u));
    const VU normal =
        hn::ShiftRight<13>(hn::Sub(hn::Add(hn::Add(magnitude, hn::Set(du, 0xFFFu)), odd), hn::Set(du, 0x38000000u)));
    const VU subnormal =
        hn::Sub(hn::BitCast(du, hn::Add(hn::BitCast(df, magnitude), hn::Set(df, 0.5f))), hn::Set(du, 0x3F000000u));
    const VU nan = hn::Or(hn::Set(du, 0x7E00u), hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 0x3FFu)));
    // Signed comparison is enough: all operands are below 2^31.
    const hn::RebindToSigned<decltype(du)> di;
    const auto less = [&](VU a, uint32_t b) HWY_ATTR {
      return hn::RebindMask(du, hn::Lt(hn::BitCast(di, a), hn::Set(di, static_cast<int32_t>(b))));
    };
    VU half = hn::IfThenElse(less(magnitude, 0x38800000u), subnormal, normal);
    half = hn::IfThenElse(less(magnitude, 0x477FF000u), half, hn::Set(du, 0x7C00u));
    half = hn::IfThenElse(less(magnitude, 0x7F800001u), half, nan);
    hn::Store(hn::TruncateTo(du16, hn::Or(half, sign)), du16, packed);
    std::memcpy(out + 2 * i, packed, 2 * lanes);
  }
  for (; i < n; ++i) {
    const F16 value = ToF16(in[i]);
    std::memcpy(out + 2 * i, &value, 2);
  }
}

void FloatsToBF16(const float* in, size_t n, std::byte* out) {
  const hn::ScalableTag<float> df;
  const hn::Repartition<uint32_t, decltype(df)> du;
  const hn::Rebind<uint16_t, decltype(df)> du16;
  const size_t lanes = hn::Lanes(df);
  HWY_ALIGN uint16_t packed[HWY_MAX_BYTES / 4];
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto value = hn::LoadU(df, in + i);
    const auto bits = hn::BitCast(du, value);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
    const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(du, 0x7FFFu)), odd));
    const auto nan = hn::Or(hn::ShiftRight<16>(bits), hn::Set(du, 0x40u));
    const auto is_nan = hn::RebindMask(du, hn::IsNaN(value));
    hn::Store(hn::TruncateTo(du16, hn::IfThenElse(is_nan, nan, rounded)), du16, packed);
    std::memcpy(out + 2 * i, packed, 2 * lanes);
  }
  for (; i < n; ++i) {
    const BF16 value = ToBF16(in[i]);
    std::memcpy(out + 2 * i, &value, 2);
  }
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(F16ToFloats);
HWY_EXPORT(BF16ToFloats);
HWY_EXPORT(FloatsToF16);
HWY_EXPORT(FloatsToBF16);
}  // namespace

void ConvertToFloat(DType from, const std::byte* in, size_t n, float* out) {
  switch (from) {
    case DType::kF32:
      if (n > 0) std::memcpy(out, in, n * sizeof(float));
      return;
    case DType::kF16:
      return HWY_DYNAMIC_DISPATCH(F16ToFloats)(in, n, out);
    case DType::kBF16:
      return HWY_DYNAMIC_DISPATCH(BF16ToFloats)(in, n, out);
    case DType::kF64:
      for (size_t i = 0; i < n; ++i) {
        double value;
        std::memcpy(&value, in + i * sizeof value, sizeof value);
        out[i] = static_cast<float>(value);
      }
      return;
    default:
      STABLELM_CHECK(false);
  }
}

void ConvertFromFloat(const float* in, size_t n, DType to, std::byte* out) {
  switch (to) {
    case DType::kF32:
      if (n > 0) std::memcpy(out, in, n * sizeof(float));
      return;
    case DType::kF16:
      return HWY_DYNAMIC_DISPATCH(FloatsToF16)(in, n, out);
    case DType::kBF16:
      return HWY_DYNAMIC_DISPATCH(FloatsToBF16)(in, n, out);
    default:
      STABLELM_CHECK(false);
  }
}

}  // namespace stablelm
#endif  // HWY_ONCE
