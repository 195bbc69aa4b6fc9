// GGUF's types of metadata values, and its tensor types with their block sizes.
//
// Follows ggml's docs/gguf.md and ggml.c (type_traits). Tensor types that this program supports have a DType. For all
// others only the sizes are known, so that files with them can be checked and inspected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

#include "base/dtype.h"

namespace stablelm {

// The enum values are the numbers in the file.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
inline constexpr uint32_t kGgufTypes = 13;

std::string_view NameOf(GgufType type);  // "u8", ..., "string", "array"
// Bytes of one value; 0 for strings and arrays, whose length is in the file.
size_t BytesOf(GgufType type);

// GGUF's type of a C++ number.
template <typename T>
constexpr GgufType GgufTypeOf() {
  if constexpr (std::is_same_v<T, bool>) return GgufType::kBool;
  if constexpr (std::is_same_v<T, uint8_t>) return GgufType::kU8;
  if constexpr (std::is_same_v<T, int8_t>) return GgufType::kI8;
  if constexpr (std::is_same_v<T, uint16_t>) return GgufType::kU16;
  if constexpr (std::is_same_v<T, int16_t>) return GgufType::kI16;
  if constexpr (std::is_same_v<T, uint32_t>) return GgufType::kU32;
  if constexpr (std::is_same_v<T, int32_t>) return GgufType::kI32;
  if constexpr (std::is_same_v<T, uint64_t>) return GgufType::kU64;
  if constexpr (std::is_same_v<T, int64_t>) return GgufType::kI64;
  if constexpr (std::is_same_v<T, float>) return GgufType::kF32;
  if constexpr (std::is_same_v<T, double>) return GgufType::kF64;
}

struct GgufTensorType {
  uint32_t number;
  std::string_view name;    // as ggml writes it: "F32", "Q4_K", "IQ4_XS"
  uint32_t block_elements;  // elements of a row in one block
  uint32_t block_bytes;
  std::optional<DType> dtype;  // empty: known, but not supported
};

// Null for numbers that ggml has not assigned or has removed.
const GgufTensorType* FindGgufTensorType(uint32_t number);
// Null for a DType that GGUF does not have (kU8, kBool).
const GgufTensorType* FindGgufTensorType(DType dtype);

}  // namespace stablelm
