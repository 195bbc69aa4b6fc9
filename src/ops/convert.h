// Conversion of rows between float types, and a scan for values that are not finite.
//
// Rounding is to nearest even; values beyond the range of fp16 become infinity. Stored rows may start at any byte
// address.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor.h"

namespace stablelm {

// n elements of type `from` (fp32, fp16, bf16 or fp64) at any address to fp32. The ranges do not overlap.
void ConvertToFloat(DType from, const std::byte* in, size_t n, float* out);
// n floats to type `to` (fp32, fp16 or bf16) at any address.
void ConvertFromFloat(const float* in, size_t n, DType to, std::byte* out);

// Index of the first NaN or infinity, or n.
size_t FirstNonFinite(const float* values, size_t n);

}  // namespace stablelm
