// CPU kernels behind MatMul for Compute::kFast, per SIMD target. Internal to ops: callers use ops/matmul.h.
//
// Two forms with the same bits: the bf16 instruction, and fp32 multiply-adds of widened halves.
#pragma once

#include <cstddef>

#include "ops/cpu/matmul_cpu.h"

namespace stablelm {

struct FastJob {
  size_t rows = 0;  // M
  const PackedMatrix* w = nullptr;
  ProductOutput out;
  const float* cut = nullptr;  // x as split by CutFastRow; as large as CutRow's
  bool bf16 = false;           // Bf16InUse(): selects the form
};

// Rounds x [k], row m of `rows`, to bf16 and splits it into pieces as CutRow does. For the bf16 instruction a piece
// holds words of two bf16 values, the lower column in the lower half, with stride kMatMulPairStride; else fp32 values
// with stride kMatMulStride, the higher column of a pair first, which is the order of the chain. A zero follows an odd
// last column.
void CutFastRow(const float* x, size_t m, size_t rows, size_t k, bool bf16, float* cut);

// As MatMulStreamed and MatMulTiled.
void FastMatMulStreamed(const FastJob& job, size_t p_begin, size_t p_end);
void FastMatMulTiled(const FastJob& job, const TiledPart& part, float* scratch);
// As MatMulTiledTransposed.
void FastMatMulTiledTransposed(const FastJob& job, const TiledPart& part, float* scratch);

}  // namespace stablelm
