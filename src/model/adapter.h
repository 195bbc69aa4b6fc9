// Low-rank adapters (LoRA) of a Linear: y = base(step(x)) + s B (A step(x)), summed over the adapters in their order.
//
// step is the norm or the activation before the product (ops/prologue.h). The side path is in fp32, whatever the type
// and the arithmetic of the base (ops/low_rank.h), and takes step(x) unrounded; base(step(x)) has the bits that it has
// without adapters.
#pragma once

#include <cstdint>
#include <span>

#include "ops/execution_context.h"
#include "ops/packed_matrix.h"

namespace stablelm {

// Owns A and B, or views matrices that are being trained (PackedMatrix::View).
struct Adapter {
  PackedMatrix a;   // [r, K] fp32
  PackedMatrix b;   // [N, r] fp32; rows in the order of the base's
  float scale = 1;  // s: alpha / r, or alpha / sqrt(r) (rsLoRA), times the user's factor

  int64_t rank() const { return static_cast<int64_t>(a.rows()); }
  size_t bytes() const { return a.bytes() + b.bytes(); }
};

// y [rows, N] += s B (A x) of each adapter, for the rows of x [rows, K] = step(x). Allocates nothing. The bits of a row
// do not depend on the other rows.
void AddAdapters(std::span<const Adapter> adapters, const float* x, int64_t rows, float* y, ExecutionContext& exec);

}  // namespace stablelm
