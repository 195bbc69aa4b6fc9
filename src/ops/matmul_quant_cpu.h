// The CPU bodies behind MatMul for quantized weights, per SIMD target. Internal to ops: callers use ops/matmul.h.
#pragma once

#include <cstddef>

#include "ops/packed_matrix.h"
#include "ops/quantized_rows.h"

namespace stablelm {

struct QuantJob {
  QuantizedRows x;  // in blocks of the weights' length
  size_t rows = 0;  // M
  const PackedMatrix* w = nullptr;
  const float* bias = nullptr;  // [N] or null
  float* y = nullptr;           // [M, N]
  bool vnni = false;            // VnniInUse()
};

// Most rows for which several panels are read side by side (decoding); more rows go through tiles, a panel at a time.
inline constexpr size_t kMaxQuantStreamedRows = 2;
inline constexpr size_t kQuantStreams = 4;

// Panels [p_begin, p_end) of y.
void QuantMatMulPanels(const QuantJob& job, size_t p_begin, size_t p_end);

}  // namespace stablelm
