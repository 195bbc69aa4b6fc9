// y = x Wᵀ + b: the matrix product of every linear layer, PyTorch's convention (W is [out, in]).
//
// What defines the bits: K is cut into pieces of kMatMulPiece from its beginning. In each piece, y[m, n] is one chain
// of fused multiply-adds in ascending k, starting from zero; the pieces are added in order, the bias last. Nothing else
// enters: not M, not the place of a row among others, not tiles, vector lengths or threads. A row alone gives the same
// bits as in a batch, and all targets with FMA give the same bits; those without (SSE4, scalar) round the product
// first.
//
// Weights are used as packed (ops/packed_matrix.h). With fp32, fp16 and bf16 weights, activations and accumulation are
// fp32, and K is cut as said. With quantized weights, rows of x become 8-bit integers (ops/quantized_rows.h) in blocks
// of the weights' length; products inside a block are summed as integers, sub-block scales included, exactly; then, in
// K order,
//   acc = fma(float(sum), d * scale of x, acc)      the product rounded first
// once for each block, and for Q4_K and Q5_K once more with minus the sum of the minimums and dmin. |y - W x| is at
// most sum |w| * (scale of x) / 2 for the rounding of x, and that of K / block folds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"
#include "ops/packed_matrix.h"
#include "ops/workspace.h"

namespace stablelm {

inline constexpr size_t kMatMulPiece = 256;

struct MatMulInput {
  const float* x = nullptr;         // [m, K], contiguous
  int64_t m = 0;                    // rows, at most the workspace's max_rows
  const PackedMatrix* w = nullptr;  // [N, K]
  const float* bias = nullptr;      // [N], or null
  float* y = nullptr;               // [m, N], contiguous; must not overlap x
};

void MatMul(const MatMulInput& in, ThreadPool& pool, Workspace& workspace);

// The plain loop: accumulates in fp64, rounds once, with decoded weights and x as it is. Tests hold the fast body to
// it.
void MatMulRef(const MatMulInput& in);
// The plain loops that define the bits for quantized weights.
void MatMulQuantRef(const MatMulInput& in);

}  // namespace stablelm
