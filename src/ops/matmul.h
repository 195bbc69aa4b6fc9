// y = x Wᵀ + b: the matrix product of every linear layer, in PyTorch's convention (W is [out, in]).
//
// Definition of the bits: K is split into pieces of kMatMulPiece columns. In each piece, y[m, n] is one chain of fused
// multiply-adds in ascending k, starting from zero; the pieces are added in order, the bias last. Nothing else matters:
// not M, not the index of a row in the batch, not tiles, vector lengths or threads. A row alone gives the same bits as
// in a batch, and all targets with FMA give the same bits; those without (SSE4, scalar) round the product first.
//
// Weights are used as packed (ops/packed_matrix.h). With fp32, fp16 and bf16 weights (Compute::kExact), activations and
// accumulation are fp32, and K is split as above. With quantized weights, rows of x are quantized to 8-bit integers
// (ops/quantized_rows.h) in blocks of the weights' length. Products inside a block, sub-block scales included, are
// summed exactly, as integers; then, in K order,
//   acc = fma(float(sum), d * scale of x, acc)      the product d * scale of x rounded first
// once per block, and for Q4_K and Q5_K once more with the negated sum of the minimums and dmin. |y - W x| is at most
// sum |w| * (scale of x) / 2 for the rounding of x, plus the rounding of K / block folds.
//
// With AMX tiles (TilesInUse() in ops/simd.h), weights that are not quantized give other bits than on other machines:
// those of bf16 products, which do not depend on M, row index or threads either. A value is split into bf16 parts, each
// with the upper half of the bits of the remainder: an fp32 value is the sum of three, fp16 of two, bf16 of one. x of
// Compute::kExact has three parts, of kFast one, rounded to nearest even. Each part of x has its own sum, to which
// steps of 32 columns are added in order, in each step the parts of the weights, the smallest first; the last step is
// padded with zeros. A step computes two chains of fused multiply-adds from zero, over the even and over the odd
// columns, adds them, and adds the result to the sum, flushing denormals as below. The sums of x's parts are added from
// the smallest on, the bias last. Only these additions round, so with P parts of the weights' type
//   |y - W x| <= (|bias| + sum |w| |x|) e,  e = (P K / 32 + P + 22) 2^-24
// for kExact, and the bound below with this e for kFast.
//
// With weights packed for Compute::kFast, x is rounded to bf16 as the weights were (ToBF16: to nearest even), and K is
// split as above. The chain of a piece takes its columns in pairs, the higher column of each pair first:
//   acc = fma(x[2i + 1], w[2i + 1], acc);  acc = fma(x[2i], w[2i], acc)
// An odd K is padded with a zero column. Every fp32 operation treats denormal operands as zero and flushes denormal
// results to zero (results smaller than 2^-126 when rounded with unlimited exponent range), the additions of pieces and
// bias included. The bf16 instruction of AVX-512 does exactly this; other targets set a mode of the processor
// (flush-to-zero, denormals-are-zero). So all targets with FMA give the same bits; those without do as well unless a
// product alone is below 2^-126 or overflows, since a product of two bf16 values is exact in fp32. With u = 2^-8, half
// a unit in the last place of bf16, and W the weights before they were rounded,
//   |y - W x| <= sum |w| |x| (2 u + u^2) (1 + e) + (|bias| + sum |w| |x|) e,  e = (K + pieces + 1) 2^-24
// without the u of the weights when they were bf16 already, plus at most 2^-126 for each operand and result that is
// flushed.
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
  bool add = false;  // y += x Wᵀ + b
  // Rounds the rows of prologue(x) to this type first: kF32 (not at all), kBF16 or kF16. Compute::kFast rounds to bf16
  // anyway.
  DType rows_as = DType::kF32;

  ProductRows rows() const { return {.x = x, .rows = m, .prologue = prologue, .applied = applied}; }
};

void MatMul(const MatMulInput& in, ExecutionContext& exec);

// Reference loop: decoded weights, x unchanged, accumulates in fp64, rounds once. Tests compare the kernels with it.
void MatMulRef(const MatMulInput& in);
// Reference loop that defines the bits with quantized weights.
void MatMulQuantRef(const MatMulInput& in);
// Reference loop that defines the bits with weights packed for Compute::kFast.
void MatMulFastRef(const MatMulInput& in);
// Reference loop that defines the bits with AMX tiles, for all weights that are not quantized.
void MatMulAmxRef(const MatMulInput& in);

}  // namespace stablelm
