// Element types of tensors, their sizes and names, and exact scalar conversions of the 16-bit floats.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace stablelm {

enum class DType : uint8_t { kF32, kF16, kBF16, kF64, kI64, kI32, kI16, kI8, kU8, kBool };

// IEEE binary16 and bfloat16 as storage: bits only, no arithmetic.
struct F16 {
  uint16_t bits;
};
struct BF16 {
  uint16_t bits;
};
static_assert(sizeof(F16) == 2 && sizeof(BF16) == 2);

size_t BytesOf(DType type);                                     // bytes of one element
std::string_view NameOf(DType type);                            // "fp32", "fp16", "bf16", "fp64", "int64", ...
std::optional<DType> FloatTypeFromName(std::string_view name);  // "fp32" | "fp16" | "bf16", as on the command line

template <typename T>
inline constexpr DType kDTypeOf = DType::kF32;
template <>
inline constexpr DType kDTypeOf<F16> = DType::kF16;
template <>
inline constexpr DType kDTypeOf<BF16> = DType::kBF16;
template <>
inline constexpr DType kDTypeOf<double> = DType::kF64;

float ToFloat(F16 value);
inline float ToFloat(BF16 value) { return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16); }
inline float ToFloat(float value) { return value; }

// Round to nearest even. Values beyond the range become infinity; NaN stays NaN (quiet).
F16 ToF16(float value);
BF16 ToBF16(float value);

}  // namespace stablelm
