// Conversion between the stored types of weights, element by element.
#pragma once

#include <cstddef>

#include "base/dtype.h"

namespace stablelm {

// n values of a float type at any address to a float type at any address; through fp32, rounded to nearest even. The
// ranges must not overlap.
void ConvertValues(const std::byte* from, DType from_type, std::byte* to, DType to_type, size_t n);

// The index of the first NaN or infinity among n values of a float type, or n.
size_t FirstNonFinite(const std::byte* values, DType type, size_t n);

}  // namespace stablelm
