// Values of stored tensors between types, piece by piece over the operations of ops/convert.h.
#pragma once

#include <cstddef>

#include "base/dtype.h"

namespace stablelm {

// n values of a float type (fp32, fp16, bf16, fp64) or whole blocks of a quantized type at any address to fp32, fp16 or
// bf16 at any address, rounded to nearest even; equal types are copied bit by bit. The ranges must not overlap.
void ConvertValues(const std::byte* from, DType from_type, std::byte* to, DType to_type, size_t n);

// The index of the first value (of the same types) that is NaN or infinite as fp32, or n. Any address.
size_t FirstNonFiniteValue(const std::byte* values, DType type, size_t n);

}  // namespace stablelm
