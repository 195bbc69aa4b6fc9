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
  // In training: tells the adapters of a model apart, for dropout. Below 2^24.
  uint32_t key = 0;

  int64_t rank() const { return static_cast<int64_t>(a.rows()); }
  size_t bytes() const { return a.bytes() + b.bytes(); }
};

// Dropout of the rows that adapters read, in training: s B (A dropout(step(x))). Element (row, column) is keyed by
// seed, step, the adapter's key, and row and column (ops/random/dropout.h).
struct AdapterDropout {
  double rate = 0;
  uint64_t seed = 0;
  uint64_t step = 0;        // of the optimizer, below 2^40
  uint64_t first_row = 0;   // number of the pass's first row in the step
  float* buffer = nullptr;  // [rows, K], for the rows that one adapter reads

  // to = dropout(x), or to += dropout(x): its gradient.
  void Apply(const Adapter& adapter, const float* x, int64_t rows, float* to, bool add, ExecutionContext& exec) const;
};

// y [rows, N] += s B (A x) of each adapter, for the rows of x [rows, K] = step(x). Allocates nothing. The bits of a row
// do not depend on the other rows. dropout may be null.
void AddAdapters(std::span<const Adapter> adapters, const float* x, int64_t rows, float* y, ExecutionContext& exec,
                 const AdapterDropout* dropout = nullptr);

}  // namespace stablelm
