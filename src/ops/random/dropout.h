// Dropout: y = x / (1 - rate) where an element is kept, else 0; and its gradient, which is the same function of dy.
//
// Whether an element is kept is a pure function of (seed, stream, row, column), with the same result on every machine,
// SIMD target and number of threads. Blocks of 64 columns take 16 Philox counters (base/random.h): column c of row r is
// kept when word c % 64 / 16 of counter (r * ceil(width / 64) + c / 64) * 16 + c % 16 is at least floor(rate * 2^32).
// The kept value is one fp32 product with float(1 / (1 - rate)).
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/execution_context.h"

namespace stablelm {

struct DropoutInput {
  const float* x = nullptr;  // [rows, width], contiguous
  size_t rows = 0, width = 0;
  double rate = 0;  // 0 <= rate < 1
  uint64_t seed = 0, stream = 0;
  uint64_t first_row = 0;  // row number of the first row
  float* y = nullptr;      // [rows, width]; may be x
  bool add = false;        // y += instead of y =
};
void Dropout(const DropoutInput& in, ExecutionContext& exec);

// Reference loop that defines the result.
void DropoutRef(const DropoutInput& in);

}  // namespace stablelm
