// The CPU bodies behind MatMul for Compute::kFast, per SIMD target. Internal to ops: callers use ops/matmul.h.
//
// Two forms with the same bits: the bf16 instruction, and fp32 multiply-adds of widened halves.
#pragma once

#include <cstddef>

#include "ops/cpu/matmul_cpu.h"

namespace stablelm {

struct FastJob {
  size_t rows = 0;  // M
  const PackedMatrix* w = nullptr;
  const float* bias = nullptr;
  float* y = nullptr;          // [M, N]
  const float* cut = nullptr;  // x as CutFastRow leaves it; as large as that of CutRow
  bool bf16 = false;           // Bf16InUse(): the form
};

// Rounds row m of `rows`, x [k], to bf16 and cuts it into pieces as CutRow does. For the bf16 instruction a row of a
// piece holds words of two, the lower column in the lower half, kMatMulPairStride apart; else fp32 numbers,
// kMatMulStride apart, the higher column of a pair first: in the order of the chain. A zero follows an odd last column.
void CutFastRow(const float* x, size_t m, size_t rows, size_t k, bool bf16, float* cut);

// As MatMulStreamed and MatMulTiled.
void FastMatMulStreamed(const FastJob& job, size_t p_begin, size_t p_end);
void FastMatMulTiled(const FastJob& job, size_t p_begin, size_t p_end, float* scratch);

}  // namespace stablelm
