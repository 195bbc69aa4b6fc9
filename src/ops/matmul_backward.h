// The two products of the backward pass of y = x Wᵀ (ops/matmul.h): the gradients of x and of W.
//
// Definition of the bits, with weights packed for Compute::kExact and rows that are not rounded:
//   dx = dy W     has the bits of MatMul with Wᵀ as its packed matrix, without bias;
//   dW = dyᵀ x    has the bits of MatMul with the rows of xᵀ and dyᵀ as its packed matrix, without bias,
// on targets without AMX tiles; those with tiles compute the same, without them. So the sum of dx runs over the outputs
// of W, the sum of dW over the rows of the batch, both in pieces of kMatMulPiece. A piece is one chain of fused
// multiply-adds in ascending order from zero; the pieces are added in order. Adding to an earlier value adds the
// finished sum to it. Threads, tiles and vector lengths change nothing. A row of dx depends on its row of dy alone.
//
// With weights packed for Compute::kFast, rows of dy and x are rounded to bf16, and the bits are those of MatMul with
// the transposed matrix packed for kFast on the same target: pairs of the summed dimension, the higher one first,
// flushing denormals; or the steps of AMX tiles.
//
// With quantized weights, dx has the bits that it has with the decoded weights in fp32: the product of the forward pass
// rounds activations to 8-bit integers, and its gradient takes that rounding for the identity.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/execution_context.h"
#include "ops/matmul.h"
#include "ops/packed_matrix.h"
#include "ops/prologue.h"

namespace stablelm {

struct InputGradient {
  const float* dy = nullptr;        // [m, N], contiguous
  int64_t m = 0;                    // rows
  const PackedMatrix* w = nullptr;  // [N, K]
  float* dx = nullptr;              // [m, K], contiguous; must not overlap dy
  bool add = false;                 // dx += instead of dx =
  // Rounds rows of dy to this type first: kF32 (not at all), kBF16 or kF16. Compute::kFast rounds to bf16 anyway.
  DType rows_as = DType::kF32;
};
void MatMulInputGradient(const InputGradient& in, ExecutionContext& exec);

struct WeightGradient {
  const float* dy = nullptr;  // [m, N], contiguous
  ProductRows x;              // [m, K] and its prologue: rows as the forward product took them
  int64_t n = 0, k = 0;       // N, K
  float* dw = nullptr;  // in the order of a packed fp32 matrix [N, K], 64-byte aligned; padding is zero afterwards
  bool add = false;     // dW += instead of dW =
  // Rounds rows of dy and of prologue(x) to this type first: kF32, kBF16 or kF16.
  DType rows_as = DType::kF32;
  Compute compute = Compute::kExact;  // kFast: the chains of bf16 products, which round to bf16
};
void MatMulWeightGradient(const WeightGradient& in, ExecutionContext& exec);

// ExecutionContext::prepared_rows that the two gradients of a product of at most `m` rows need. Bounded: they compute
// what is larger in parts, so that beyond 8,192 rows only 17 KB a row are added, whatever N and K.
size_t MatMulBackwardFloats(int64_t m, int64_t n, int64_t k);

// Plain loops with sums in fp64, rounded once; rows are not rounded.
void MatMulInputGradientRef(const InputGradient& in);
void MatMulWeightGradientRef(const WeightGradient& in);

}  // namespace stablelm
