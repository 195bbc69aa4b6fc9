// y = x Wᵀ + b: the matrix product of every linear layer, PyTorch's convention (W is [out, in]).
//
// What defines the bits: K is cut into pieces of kMatMulPiece from its beginning. In each piece, y[m, n] is one chain
// of fused multiply-adds in ascending k, starting from zero; the pieces are added in order, the bias last. Nothing else
// enters: not M, not the place of a row among others, not tiles, vector lengths or threads. A row alone gives the same
// bits as in a batch, and all targets with FMA give the same bits; those without (SSE4, scalar) round the product
// first.
//
// Weights are used as packed (ops/packed_matrix.h). With fp32, fp16 and bf16 weights (Compute::kExact), activations and
// accumulation are fp32, and K is cut as said. With quantized weights, rows of x become 8-bit integers
// (ops/quantized_rows.h) in blocks of the weights' length; products inside a block are summed as integers, sub-block
// scales included, exactly; then, in K order,
//   acc = fma(float(sum), d * scale of x, acc)      the product rounded first
// once for each block, and for Q4_K and Q5_K once more with minus the sum of the minimums and dmin. |y - W x| is at
// most sum |w| * (scale of x) / 2 for the rounding of x, and that of K / block folds.
//
// Where tiles are in use (TilesInUse() in ops/simd.h), weights that are not quantized have other bits than on other
// machines, by products of bf16 numbers that do not depend on M, places or threads either. A number is cut into parts
// of bf16, each with the upper half of the bits of what is left: an fp32 number is the sum of three, fp16 of two, bf16
// of one. x of Compute::kExact has three parts, of kFast one, rounded to nearest even. Each part of x has a sum, to
// which steps of 32 columns are added in order, in each step the parts of the weights, the smallest first; zeros fill
// up the last step. A step adds up two chains of fused multiply-adds from zero, of the even and of the odd columns,
// then that to the sum, flushing denormals as below. The sums of x's parts are added up from the smallest on, the bias
// last. Nothing is rounded but these additions, so that with parts P of the weights' type
//   |y - W x| <= (|bias| + sum |w| |x|) e,  e = (P K / 32 + P + 22) 2^-24
// for kExact, and the bound below with this e for kFast.
//
// With weights packed for Compute::kFast, x is rounded to bf16 as the weights were (ToBF16: to nearest even), and K is
// cut as said. The chain of a piece takes its columns in pairs, the higher one of each first:
//   acc = fma(x[2i + 1], w[2i + 1], acc);  acc = fma(x[2i], w[2i], acc)
// An odd K has a zero as its last column. Every operation of fp32 takes denormal operands for zeros and gives zeros for
// denormal results (smaller than 2^-126 when rounded as if there were no smallest exponent), that of pieces and bias
// included. The bf16 instruction of AVX-512 computes just that; other targets compute it in a mode of the processor.
// So all targets with FMA give the same bits; those without do as well unless a product alone is below 2^-126 or
// overflows, since a product of two bf16 numbers is exact in fp32. With u = 2^-8, half a unit in the last place of
// bf16, and W the weights before they were rounded,
//   |y - W x| <= sum |w| |x| (2 u + u^2) (1 + e) + (|bias| + sum |w| |x|) e,  e = (K + pieces + 1) 2^-24
// without the u of the weights when they were bf16, beside at most 2^-126 for each operand and result that is flushed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/execution_context.h"
#include "ops/packed_matrix.h"
#include "ops/prologue.h"

namespace stablelm {

inline constexpr size_t kMatMulPiece = 256;

struct MatMulInput {
  const float* x = nullptr;         // [m, K], contiguous
  int64_t m = 0;                    // rows, at most the context's max_rows
  const PackedMatrix* w = nullptr;  // [N, K]
  const float* bias = nullptr;      // [N], or null
  float* y = nullptr;               // [m, N], contiguous; must not overlap x
  // See ops/prologue.h. `applied` [m, K] must not overlap y.
  Prologue prologue = {};
  float* applied = nullptr;
};

void MatMul(const MatMulInput& in, ExecutionContext& exec);

// The plain loop: accumulates in fp64, rounds once, with decoded weights and x as it is. Tests hold the fast body to
// it.
void MatMulRef(const MatMulInput& in);
// The plain loops that define the bits for quantized weights.
void MatMulQuantRef(const MatMulInput& in);
// And for weights packed for Compute::kFast.
void MatMulFastRef(const MatMulInput& in);
// And for all weights that are not quantized where tiles are in use.
void MatMulAmxRef(const MatMulInput& in);

}  // namespace stablelm
