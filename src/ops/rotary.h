// Rotary position embedding (RoPE) as GPT-NeoX and transformers apply it: the first R of the D dimensions of each head
// are rotated, in pairs (i, i + R/2), by the angle position / base^(2i/R).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/aligned_buffer.h"

namespace stablelm {

// Cosines and sines of all positions, fp32. Frequencies and angles are rounded to fp32 as in transformers: at position
// 4,095 this changes an angle by up to 1e-4, so the rounding must be the same. Immutable after construction.
class RotaryTable {
 public:
  RotaryTable(int64_t rotary_dims, double base, int64_t max_positions);
  int64_t rotary_dims() const { return rotary_dims_; }
  int64_t max_positions() const { return max_positions_; }
  // [R/2] each.
  const float* Cos(int64_t position) const { return table_.data() + position * rotary_dims_; }
  const float* Sin(int64_t position) const { return Cos(position) + rotary_dims_ / 2; }
  static size_t Bytes(int64_t rotary_dims, int64_t max_positions);

 private:
  int64_t rotary_dims_;
  int64_t max_positions_;
  AlignedBuffer<float> table_;  // [positions, 2, R/2]
};

// Rotates one head's vector u [D] in place (only the first R values change).
void RotateInPlace(const RotaryTable& table, int64_t position, float* u);
// The inverse rotation: a vector rotated for position p becomes one for p - distance, up to rounding.
void RotateBackInPlace(const RotaryTable& table, int64_t distance, float* u);

}  // namespace stablelm
