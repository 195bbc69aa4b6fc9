// Conversion of values between types.
//
// Rounds to nearest even; values beyond the range of fp16 become infinity. Stored values may start at any byte address.
// Input and output must not overlap.
#pragma once

#include <cstddef>

#include "base/dtype.h"

namespace stablelm {

// n elements of type `from` (fp32, fp16, bf16 or fp64) to fp32.
void ConvertToFloat(DType from, const std::byte* in, size_t n, float* out);
// n floats to type `to` (fp32, fp16 or bf16).
void ConvertFromFloat(const float* in, size_t n, DType to, std::byte* out);

// n values of a float type (fp32, fp16, bf16, fp64), or whole blocks of a quantized type, to fp32, fp16 or bf16. Equal
// types are copied bit by bit.
void ConvertValues(const std::byte* from, DType from_type, std::byte* to, DType to_type, size_t n);

}  // namespace stablelm
