// Activations quantized to 8-bit integers, for products with quantized weights.
//
// A row is split into blocks of the weights' length (BlockElements). In each, with a the largest magnitude:
//   scale = a / 127;  q = x * (127 / a) rounded to nearest even, in [-127, 127];  a < 2^-100: all zero.
// A block with NaN or infinity gets scale NaN, so that the product propagates it. The result for a row depends on its
// own values alone, and is the same on every SIMD target.
//
// Blocks are stored by block column, [K / block][rows][block], because rows a power of two apart would map to the same
// cache sets. Besides the quants, each block stores the sums that the zero point or the minimums of the weights' type
// multiply, in the format that products read (OffsetWords 32-bit words):
//   Q8_0, Q4_0   -128 or -8 times the sum of q
//   Q6_K         -32 times the sums of 16 q each (16 words), then these sums as 16-bit integers (8 words)
//   Q4_K, Q5_K   the sums of 32 q each, as 128 h + l with -64 <= l < 64: h of the 8 sub-blocks, then l, as bytes
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace stablelm {

inline constexpr float kSmallestBlock = 0x1p-100f;  // smallest nonzero a; 127 / a overflows not far below

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

  // Lays out the arrays in `memory`: at least Bytes(rows, k, weights) bytes, 64-byte aligned.
  static QuantizedRows In(void* memory, size_t rows, size_t k, DType weights);
  static size_t Bytes(size_t rows, size_t k, DType weights);
  // Quantizes x [K] into row m.
  void Set(size_t m, const float* x) const;

  const int8_t* Quants(size_t b, size_t m) const { return q + (b * rows + m) * block; }
  const float* Scale(size_t b, size_t m) const { return scale + b * rows + m; }
  const int32_t* Offsets(size_t b, size_t m) const { return offsets + (b * rows + m) * OffsetWords(weights); }
};

// Reference loop that defines scale and q of one block.
void QuantizeBlockRef(const float* x, size_t n, int8_t* q, float* scale);

}  // namespace stablelm
