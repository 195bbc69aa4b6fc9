// CPU kernels behind MatMul for quantized weights, per SIMD target. Internal to ops: callers use ops/matmul.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/cpu/store_row.h"
#include "ops/packed_matrix.h"
#include "ops/quantized_rows.h"

namespace stablelm {

// How words of bytes are multiplied (ops/cpu/quant_products-inl.h): a choice of instructions that never changes
// results.
enum class QuantMultiply : uint8_t { kPlain, kPairs, kDot };

// Whether blocks of the quantized type are kSuperBlock columns, else kSmallBlock.
inline bool IsSuperType(DType type) { return type != DType::kQ8_0 && type != DType::kQ4_0; }

struct QuantJob {
  QuantizedRows x;  // for weights of the matrix's type
  size_t rows = 0;  // M
  const PackedMatrix* w = nullptr;
  ProductOutput out;
  bool dots = false;  // ByteDotsInUse()
  bool far = false;   // AsksFar(w)
};

// Maximum rows of streamed products, which decode weights in registers as they arrive from memory (decoding). Products
// of more rows are tiled.
inline constexpr size_t kMaxQuantStreamedRows = 2;
size_t QuantStreamedRows();  // for the SIMD target in use: kMaxQuantStreamedRows or 0
// Computes steps [begin, end) of y for few rows: limited by memory bandwidth. A step is two panels, adjacent or not.
inline size_t QuantStreamedSteps(size_t panels) { return (panels + 1) / 2; }
void QuantMatMulStreamed(const QuantJob& job, size_t begin, size_t end);

// Computes panels [p_begin, p_end) for any number of rows: limited by arithmetic. `scratch` has
// ExecutionContext::kWorkerFloats floats, 64-byte aligned.
void QuantMatMulTiledSmall(const QuantJob& job, size_t p_begin, size_t p_end, float* scratch);
void QuantMatMulTiledSuper(const QuantJob& job, size_t p_begin, size_t p_end, float* scratch);
inline void QuantMatMulTiled(const QuantJob& job, size_t p_begin, size_t p_end, float* scratch) {
  (IsSuperType(job.w->type()) ? QuantMatMulTiledSuper : QuantMatMulTiledSmall)(job, p_begin, p_end, scratch);
}
// The same with AMX tiles (TilesInUse()), which take as long for one row as for 16: used from kMinAmxRows rows on.
inline constexpr size_t kMinAmxRows = 8;
void QuantMatMulAmx(const QuantJob& job, size_t p_begin, size_t p_end, float* scratch);

}  // namespace stablelm
