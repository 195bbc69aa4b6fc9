// The two arithmetic modes of products with fp32, fp16 and bf16 weights: exact and fast.
//
// ops/matmul.h defines the bits of each. Quantized weights have one arithmetic of their own.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/dtype.h"

namespace stablelm {

enum class Compute : uint8_t {
  kExact,  // fp32 multiply-adds, weights not rounded
  kFast,   // weights and activations rounded to bf16, accumulated in fp32
};

constexpr std::string_view NameOf(Compute compute) { return compute == Compute::kExact ? "exact" : "fast"; }

// Type in memory of weights of `type`.
inline DType PackedType(DType type, Compute compute) {
  return compute == Compute::kFast && !IsQuantized(type) ? DType::kBF16 : type;
}

}  // namespace stablelm
