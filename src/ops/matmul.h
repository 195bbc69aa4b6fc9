// y = x Wᵀ + b: the matrix product of every linear layer, PyTorch's convention (W is [out, in]).
//
// What defines the bits: y[m, n] is one chain of fused multiply-adds per vector lane (lane l takes k = l, l + L, l +
// 2L, ... in ascending order, starting from zero), the lanes summed in Highway's fixed order, the bias added last. The
// chain does not depend on M, on the place of a row among others, on tiles or on threads: a row alone gives the same
// bits as in a batch. L is the vector length of the SIMD target; targets without FMA round the product first.
//
// Weights are used as stored (fp32, fp16, bf16; row-major; any byte address); activations and accumulation are fp32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor.h"
#include "base/thread_pool.h"
#include "ops/workspace.h"

namespace stablelm {

struct MatMulInput {
  const float* x = nullptr;     // [m, K], contiguous
  int64_t m = 0;                // rows, at most the workspace's max_rows
  TensorView w;                 // [N, K] fp32, fp16 or bf16
  const float* bias = nullptr;  // [N], or null
  float* y = nullptr;           // [m, N], contiguous; must not overlap x
};

void MatMul(const MatMulInput& in, ThreadPool& pool, Workspace& workspace);

// The plain loop: accumulates in fp64, rounds once. Tests hold the fast body to it.
void MatMulRef(const MatMulInput& in);

}  // namespace stablelm
