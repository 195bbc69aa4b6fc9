// The arithmetic of a training step: what the weights and the rows that products take are rounded to.
//
// Everything else is fp32 in all three: residual stream, norms, softmax, loss, sums, gradients of weights, masters and
// moments, and all that is kept between forward and backward. In 16 bits every parameter is used rounded, vectors and
// embedding too.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/dtype.h"
#include "ops/compute.h"

namespace stablelm {

enum class Precision : uint8_t {
  kF32,   // the masters are the weights
  kBF16,  // products of Compute::kFast
  kF16,   // products of Compute::kExact with rows and weights rounded to fp16; needs a loss scale
};

inline constexpr Precision kPrecisions[] = {Precision::kF32, Precision::kBF16, Precision::kF16};

constexpr DType WeightType(Precision precision) {
  return precision == Precision::kF32 ? DType::kF32 : precision == Precision::kBF16 ? DType::kBF16 : DType::kF16;
}
constexpr Compute ComputeOf(Precision precision) {
  return precision == Precision::kBF16 ? Compute::kFast : Compute::kExact;
}
// Rounding of the rows of a product.
constexpr DType RowsAs(Precision precision) { return WeightType(precision); }

inline std::string_view NameOf(Precision precision) { return NameOf(WeightType(precision)); }

}  // namespace stablelm
