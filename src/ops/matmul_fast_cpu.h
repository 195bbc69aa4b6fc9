// The CPU bodies behind MatMul for Compute::kFast, per SIMD target. Internal to ops: callers use ops/matmul.h.
//
// Two forms with the same bits: the bf16 instruction, and fp32 multiply-adds of widened halves.
#pragma once

#include <cstddef>

#include "ops/matmul_cpu.h"

namespace stablelm {

struct FastJob {
  size_t rows = 0;  // M
  const PackedMatrix* w = nullptr;
  const float* bias = nullptr;
  float* y = nullptr;          // [M, N]
  const float* cut = nullptr;  // x as CutFastRows leaves it; as large as that of CutRows
  bool bf16 = false;           // Bf16InUse(): the form
};

// Rounds rows [row_begin, row_end) of x [rows, k] to bf16 and cuts them into pieces as CutRows does. For the bf16
// instruction a row of a piece holds words of two, the lower column in the lower half, kMatMulPairStride apart; else
// fp32 numbers, kMatMulStride apart, the higher column of a pair first: in the order of the chain. An odd last column
// is followed by a zero.
void CutFastRows(const float* x, size_t rows, size_t k, size_t row_begin, size_t row_end, bool bf16, float* cut);

// As MatMulStreamed and MatMulTiled.
void FastMatMulStreamed(const FastJob& job, size_t p_begin, size_t p_end);
void FastMatMulTiled(const FastJob& job, size_t p_begin, size_t p_end, float* scratch);

}  // namespace stablelm
