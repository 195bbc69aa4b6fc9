// The two declared arithmetics of products with fp32, fp16 and bf16 weights.
//
// What each computes, bit for bit, is said in ops/matmul.h. Quantized weights have one arithmetic of their own.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/dtype.h"

namespace stablelm {

enum class Compute : uint8_t {
  kExact,  // fp32 multiply-adds of the weights as they are
  kFast,   // weights and activations rounded to bf16, summed up in fp32
};

constexpr std::string_view NameOf(Compute compute) { return compute == Compute::kExact ? "exact" : "fast"; }

// What weights of `type` are in memory.
inline DType PackedType(DType type, Compute compute) {
  return compute == Compute::kFast && !IsQuantized(type) ? DType::kBF16 : type;
}

}  // namespace stablelm
