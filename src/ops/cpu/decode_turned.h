// Decodes pieces of quantized matrices for products with Wᵀ, per SIMD target. Internal to ops.
#pragma once

#include <cstddef>

#include "ops/packed_matrix.h"

namespace stablelm {

// Columns [first, first + kPanelRows) of rows [n0, n0 + count) of W, a row at a time: out [count rounded up to whole
// panels, kPanelRows] as fp32, with the bits of UnpackRow. first and n0 are multiples of kPanelRows; what lies beyond
// the last row of W is not defined.
void DecodeTurned(const PackedMatrix& w, size_t first, size_t n0, size_t count, float* out);

}  // namespace stablelm
