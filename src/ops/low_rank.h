// y += s B (A x): the low-rank update that a LoRA adapter adds to a product. In fp32, whatever the type of the matrix
// that it belongs to.
//
// Definition of the bits: z = A x and B z are each computed as ops/matmul.h defines products of fp32 weights without
// AMX tiles (pieces of kMatMulPiece columns, each one chain of fused multiply-adds from zero, added in order); then
// y = fma(s, B z, y). Neither the other rows, nor threads, nor the target's vector length change a bit; targets without
// FMA round each product first. With u = 2^-24, n the larger of r and K, the error of an element is at most
//   s |B| |A| |x| (2 n + pieces + 2) u
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/execution_context.h"
#include "ops/packed_matrix.h"

namespace stablelm {

inline constexpr int64_t kMaxLowRank = 2048;  // r: a block of rows of z fits into the scratch of a thread

struct LowRankInput {
  const float* x = nullptr;         // [m, K], contiguous
  int64_t m = 0;                    // rows
  const PackedMatrix* a = nullptr;  // [r, K] fp32
  const PackedMatrix* b = nullptr;  // [N, r] fp32
  float scale = 1;                  // s
  float* y = nullptr;               // [m, N], contiguous; must not overlap x
};

// Allocates nothing: partial sums are in the context's memory.
void AddLowRank(const LowRankInput& in, ExecutionContext& exec);

// Reference loop that defines the bits.
void AddLowRankRef(const LowRankInput& in);

}  // namespace stablelm
