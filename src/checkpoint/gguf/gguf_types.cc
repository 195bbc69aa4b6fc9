#include "checkpoint/gguf/gguf_types.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"

namespace stablelm {
namespace {

constexpr GgufTensorType kTensorTypes[] = {
    {0, "F32", 1, 4, DType::kF32},          {1, "F16", 1, 2, DType::kF16},
    {2, "Q4_0", 32, 18, DType::kQ4_0},      {3, "Q4_1", 32, 20, DType::kQ4_1},
    {6, "Q5_0", 32, 22, DType::kQ5_0},      {7, "Q5_1", 32, 24, DType::kQ5_1},
    {8, "Q8_0", 32, 34, DType::kQ8_0},      {9, "Q8_1", 32, 36, std::nullopt},
    {10, "Q2_K", 256, 84, DType::kQ2_K},    {11, "Q3_K", 256, 110, DType::kQ3_K},
    {12, "Q4_K", 256, 144, DType::kQ4_K},   {13, "Q5_K", 256, 176, DType::kQ5_K},
    {14, "Q6_K", 256, 210, DType::kQ6_K},   {15, "Q8_K", 256, 292, std::nullopt},
    {16, "IQ2_XXS", 256, 66, std::nullopt}, {17, "IQ2_XS", 256, 74, std::nullopt},
    {18, "IQ3_XXS", 256, 98, std::nullopt}, {19, "IQ1_S", 256, 50, std::nullopt},
    {20, "IQ4_NL", 32, 18, DType::kIQ4_NL}, {21, "IQ3_S", 256, 110, std::nullopt},
    {22, "IQ2_S", 256, 82, std::nullopt},   {23, "IQ4_XS", 256, 136, DType::kIQ4_XS},
    {24, "I8", 1, 1, DType::kI8},           {25, "I16", 1, 2, DType::kI16},
    {26, "I32", 1, 4, DType::kI32},         {27, "I64", 1, 8, DType::kI64},
    {28, "F64", 1, 8, DType::kF64},         {29, "IQ1_M", 256, 56, std::nullopt},
    {30, "BF16", 1, 2, DType::kBF16},       {34, "TQ1_0", 256, 54, std::nullopt},
    {35, "TQ2_0", 256, 66, std::nullopt},   {39, "MXFP4", 32, 17, std::nullopt},
    {40, "NVFP4", 64, 36, std::nullopt},    {41, "Q1_0", 128, 18, std::nullopt},
};

}  // namespace

std::string_view NameOf(GgufType type) {
  constexpr std::string_view kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                         "bool", "string", "array", "u64", "i64", "f64"};
  static_assert(std::size(kNames) == kGgufTypes);
  STABLELM_CHECK(static_cast<uint32_t>(type) < kGgufTypes);
  return kNames[static_cast<size_t>(type)];
}

size_t BytesOf(GgufType type) {
  constexpr size_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  static_assert(std::size(kBytes) == kGgufTypes);
  STABLELM_CHECK(static_cast<uint32_t>(type) < kGgufTypes);
  return kBytes[static_cast<size_t>(type)];
}

const GgufTensorType* FindGgufTensorType(uint32_t number) {
  const auto it = std::ranges::find(kTensorTypes, number, &GgufTensorType::number);
  return it == std::end(kTensorTypes) ? nullptr : it;
}

const GgufTensorType* FindGgufTensorType(DType dtype) {
  const auto it = std::ranges::find(kTensorTypes, std::optional(dtype), &GgufTensorType::dtype);
  return it == std::end(kTensorTypes) ? nullptr : it;
}

}  // namespace stablelm
