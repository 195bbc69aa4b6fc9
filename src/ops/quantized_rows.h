// Activations as 8-bit integers, for products with quantized weights.
//
// A row is cut into blocks of the weights' length (BlockElements). In each, with a the largest magnitude:
//   scale = a / 127;  q = x * (127 / a) rounded to nearest even, in [-127, 127];  a < 2^-100: all zero.
// The scale of a block with NaN or infinity is NaN, so that the product shows it. What a row becomes depends on its own
// values alone, and is the same on every SIMD target.
//
// Blocks are stored column by column of blocks, [K / block][rows][block]: rows a power of two apart would fall into the
// same sets of the caches. Beside the quants each block has what the zero point or the minimums of the weights'
// type multiply, in the form that products take (OffsetWords 32-bit words):
//   Q8_0, Q4_0   -128 or -8 times the sum of q
//   Q6_K         -32 times the sums of 16 q each (16 words), then these sums as 16-bit integers (8 words)
//   Q4_K, Q5_K   the sums of 32 q each, as 128 h + l with -64 <= l < 64: h of the 8 sub-blocks, then l, as bytes
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace stablelm {

inline constexpr float kSmallestBlock = 0x1p-100f;  // of the largest magnitude; 127 / a overflows not far below

constexpr size_t OffsetWords(DType weights) {
  switch (weights) {
    case DType::kQ6_K:
      return 24;
    case DType::kQ4_K:
    case DType::kQ5_K:
      return 4;
    default:
      return 1;
  }
}

struct QuantizedRows {
  int8_t* q = nullptr;         // [K / block][rows][block]
  float* scale = nullptr;      // [K / block][rows]
  int32_t* offsets = nullptr;  // [K / block][rows][OffsetWords(weights)]
  DType weights = DType::kQ8_0;
  size_t rows = 0;
  size_t k = 0;
  size_t block = 0;  // 32 or 256; divides K

  // Lays the arrays out in memory of at least Bytes(rows, k, weights), 64-byte aligned.
  static QuantizedRows In(void* memory, size_t rows, size_t k, DType weights);
  static size_t Bytes(size_t rows, size_t k, DType weights);
  // Fills row m from x [K].
  void Set(size_t m, const float* x) const;

  const int8_t* Quants(size_t b, size_t m) const { return q + (b * rows + m) * block; }
  const float* Scale(size_t b, size_t m) const { return scale + b * rows + m; }
  const int32_t* Offsets(size_t b, size_t m) const { return offsets + (b * rows + m) * OffsetWords(weights); }
};

// The plain loop that defines scale and q, for one block.
void QuantizeBlockRef(const float* x, size_t n, int8_t* q, float* scale);

}  // namespace stablelm
