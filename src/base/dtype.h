// Element types of tensors: sizes, names, and scalar conversions of fp16 and bf16.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace stablelm {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kF64,
  kI64,
  kI32,
  kI16,
  kI8,
  kU8,
  kBool,
  // Quantized weights as GGUF stores them: rows of blocks, with scales shared within a block.
  kQ8_0,
  kQ4_0,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  // Quantized types that are only decoded (IsDecodeOnly).
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kIQ4_NL,
  kIQ4_XS,
};

// Storage of IEEE binary16 and bfloat16: bits only, no arithmetic.
struct F16 {
  uint16_t bits;
};
struct BF16 {
  uint16_t bits;
};
static_assert(sizeof(F16) == 2 && sizeof(BF16) == 2);

bool IsQuantized(DType type);
// Quantized types with which nothing is computed, and as which nothing is encoded: loading a model decodes them.
bool IsDecodeOnly(DType type);
size_t BytesOf(DType type);  // of one element; the type must not be quantized
// Size of a block in elements and in bytes; 1 and BytesOf(type) if the type is not quantized.
int64_t BlockElements(DType type);
size_t BlockBytes(DType type);
// Bytes of a row of `elements`, a multiple of the block size.
size_t BytesOf(DType type, int64_t elements);
std::string_view NameOf(DType type);  // "fp32", "fp16", "bf16", "fp64", "int64", ..., "Q8_0", "Q4_K", ...
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

// Round to nearest even. Values out of range become infinity; NaN stays NaN (quiet).
F16 ToF16(float value);
BF16 ToBF16(float value);

}  // namespace stablelm
