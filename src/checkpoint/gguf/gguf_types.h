// The types of GGUF: of values in the header, and of tensors with the blocks that they are stored in.
//
// Follows ggml's docs/gguf.md and ggml.c (type_traits). Tensor types that this program computes with have a DType; of
// the others the sizes are known, so that a file that holds them can be checked and shown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

#include "base/dtype.h"

namespace stablelm {

// The numbers are those of the file.
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

// The type that a C++ number is stored as.
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
  uint32_t block_elements;  // of a row that are stored together
  uint32_t block_bytes;
  std::optional<DType> dtype;  // empty: known, but of no use to this program
};

// Null for numbers that ggml has not given, or has taken back.
const GgufTensorType* FindGgufTensorType(uint32_t number);
// Null for a DType that GGUF does not have (kU8, kBool).
const GgufTensorType* FindGgufTensorType(DType dtype);

}  // namespace stablelm
