#include "checkpoint/convert_values.h"

#include <cmath>
#include <cstring>

#include "base/error.h"

namespace stablelm {
namespace {

template <typename T>
T Load(const std::byte* p, size_t i) {
  T value;
  std::memcpy(&value, p + i * sizeof(T), sizeof(T));
  return value;
}

float AsFloat(float value) { return value; }
float AsFloat(double value) { return static_cast<float>(value); }
float AsFloat(F16 value) { return ToFloat(value); }
float AsFloat(BF16 value) { return ToFloat(value); }

template <typename T>
T FromFloat(float value);
template <>
float FromFloat<float>(float value) {
  return value;
}
template <>
F16 FromFloat<F16>(float value) {
  return ToF16(value);
}
template <>
BF16 FromFloat<BF16>(float value) {
  return ToBF16(value);
}

template <typename From, typename To>
void ConvertLoop(const std::byte* from, std::byte* to, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const To value = FromFloat<To>(AsFloat(Load<From>(from, i)));
    std::memcpy(to + i * sizeof(To), &value, sizeof(To));
  }
}

template <typename From>
void ConvertFrom(const std::byte* from, std::byte* to, DType to_type, size_t n) {
  switch (to_type) {
    case DType::kF32:
      return ConvertLoop<From, float>(from, to, n);
    case DType::kF16:
      return ConvertLoop<From, F16>(from, to, n);
    case DType::kBF16:
      return ConvertLoop<From, BF16>(from, to, n);
    default:
      STABLELM_CHECK(false);  // not a type that weights are converted to
  }
}

template <typename T>
size_t FirstNonFiniteOf(const std::byte* values, size_t n) {
  for (size_t i = 0; i < n; ++i)
    if (!std::isfinite(AsFloat(Load<T>(values, i)))) return i;
  return n;
}

}  // namespace

void ConvertValues(const std::byte* from, DType from_type, std::byte* to, DType to_type, size_t n) {
  if (from_type == to_type) {
    if (n > 0) std::memcpy(to, from, n * BytesOf(to_type));
    return;
  }
  switch (from_type) {
    case DType::kF32:
      return ConvertFrom<float>(from, to, to_type, n);
    case DType::kF16:
      return ConvertFrom<F16>(from, to, to_type, n);
    case DType::kBF16:
      return ConvertFrom<BF16>(from, to, to_type, n);
    case DType::kF64:
      return ConvertFrom<double>(from, to, to_type, n);
    default:
      STABLELM_CHECK(false);  // not a float type
  }
}

size_t FirstNonFinite(const std::byte* values, DType type, size_t n) {
  switch (type) {
    case DType::kF32:
      return FirstNonFiniteOf<float>(values, n);
    case DType::kF16:
      return FirstNonFiniteOf<F16>(values, n);
    case DType::kBF16:
      return FirstNonFiniteOf<BF16>(values, n);
    case DType::kF64:
      return FirstNonFiniteOf<double>(values, n);
    default:
      STABLELM_CHECK(false);  // not a float type
  }
}

}  // namespace stablelm
