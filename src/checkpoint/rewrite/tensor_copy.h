// The tensors of a model in the types and the order of rows of another file (checkpoint/convert_rows.h).
//
// Equal types are copied bit by bit; what becomes a quantized type is encoded row by row (ops/quant/quant_row.h). The
// bytes do not depend on the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/progress.h"
#include "base/thread_pool.h"
#include "checkpoint/model_folder.h"

namespace stablelm {

struct TensorCopy {
  std::vector<DType> types;  // [table]: kF32, kF16, kBF16 or, for matrices, a quantized type that divides their rows
  // [table], or empty: what the columns of an entry count when it is quantized (ImportanceWeights), or nothing.
  std::vector<std::vector<float>> weights = {};
  bool refuse_non_finite = false;  // also where the new type could hold NaN and infinity
  QkvOrder qkv_order = QkvOrder::kPerHead;
  ThreadPool* pool = nullptr;             // not owned, not null
  Progress* progress = nullptr;           // not owned, may be null: counts SourceBytes
  std::function<void()> checkpoint = {};  // called before every piece, from any thread; may throw to end the work
};

// Bytes of entry `entry` of the table from byte `offset` on, C order. Called from all threads of the pool at once;
// disjoint ranges, together the whole of every tensor.
using TensorSink = std::function<void(size_t entry, uint64_t offset, std::span<const std::byte> bytes)>;

// What CopyTensors reads of a model.
uint64_t SourceBytes(const ModelFolder& model);

// Throws Error: a value that its new type does not hold (quantized types hold no NaN and no infinity), by tensor, row
// and column; and what the sink throws.
void CopyTensors(const ModelFolder& model, const TensorCopy& copy, const TensorSink& sink);

// Whether every value of a tensor of floats is one of `type` too, so that a conversion and back gives the same bits.
bool IsExactAs(const ModelFolder& model, size_t entry, DType type);

// The row of the QKV matrix (or bias) in the order `from` that is row `row` in the order `to`.
int64_t QkvRow(const ModelConfig& config, QkvOrder from, QkvOrder to, int64_t row);

}  // namespace stablelm
