// Activations as 8-bit integers, for products with quantized weights.
//
// A row is cut into blocks of the weights' length (BlockElements). In each, with a the largest magnitude:
//   scale = a / 127;  q = x * (127 / a) rounded to nearest even, in [-127, 127];  a < 2^-100: all zero.
// The scale of a block with NaN or infinity is NaN, so that the product shows it. What a row becomes depends on its own
// values alone, and is the same on every SIMD target.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stablelm {

inline constexpr size_t kSumElements = 16;
inline constexpr float kSmallestBlock = 0x1p-100f;  // of the largest magnitude; 127 / a overflows not far below

struct QuantizedRows {
  int8_t* q = nullptr;      // [rows, K]
  float* scale = nullptr;   // [rows, K / block]
  int32_t* sums = nullptr;  // [rows, K / kSumElements], of q
  size_t k = 0;
  size_t block = 0;  // 32 or 256; divides K

  // Lays the arrays out in memory of at least Bytes(rows, k, block), 64-byte aligned.
  static QuantizedRows In(void* memory, size_t rows, size_t k, size_t block);
  static constexpr size_t Bytes(size_t rows, size_t k, size_t block) {
    return rows * (k + k / block * sizeof(float) + k / kSumElements * sizeof(int32_t)) + 128;
  }
  // Fills row m from x [K].
  void Set(size_t m, const float* x) const;
};

// The plain loop that defines the result of Set, for one block.
void QuantizeBlockRef(const float* x, size_t n, int8_t* q, float* scale);

}  // namespace stablelm
