// Copies the tensors of a model in another file's types and row order (checkpoint/convert_rows.h).
//
// Equal types are copied bit by bit. Quantized types are encoded row by row (ops/quant/quant_row.h). The bytes do not
// depend on the number of threads.
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

// A change of the rows of some matrices before they are converted, such as adding an adapter.
struct RowChange {
  std::function<bool(size_t entry)> changes = {};  // whether it changes this entry of the table; empty: nothing
  // Changes row `row`, in the order of the model's files, in fp32. Called from all threads concurrently.
  std::function<void(size_t entry, int64_t row, std::span<float> values)> apply = {};
};

struct TensorCopy {
  std::vector<DType> types;  // [table]: kF32, kF16, kBF16 or, for matrices, a quantized type that divides their rows
  // [table] or empty: column weights of an entry for quantization (ImportanceWeights); may be empty for any entry.
  std::vector<std::vector<float>> weights = {};
  bool refuse_non_finite = false;  // also if the new type can represent NaN and infinity
  QkvOrder qkv_order = QkvOrder::kPerHead;
  RowChange change = {};
  ThreadPool* pool = nullptr;             // not owned, not null
  Progress* progress = nullptr;           // not owned, may be null: counts SourceBytes
  std::function<void()> checkpoint = {};  // called before every piece, from any thread; may throw to abort
};

// Receives bytes of table entry `entry` at byte `offset`, in C order. Called from all threads of the pool concurrently,
// for disjoint ranges that cover every tensor.
using TensorSink = std::function<void(size_t entry, uint64_t offset, std::span<const std::byte> bytes)>;

// Bytes that CopyTensors reads from a model.
uint64_t SourceBytes(const ModelFolder& model);

// Throws Error for a value that the new type cannot represent (quantized types have no NaN or infinity), with tensor,
// row and column; passes on exceptions of the sink.
void CopyTensors(const ModelFolder& model, const TensorCopy& copy, const TensorSink& sink);

// Whether `type` represents every value of a float tensor exactly, so that converting there and back gives the same
// bits.
bool IsExactAs(const ModelFolder& model, size_t entry, DType type);

// Index, in the order `from`, of the QKV row (or bias element) with index `row` in the order `to`.
int64_t QkvRow(const ModelConfig& config, QkvOrder from, QkvOrder to, int64_t row);

}  // namespace stablelm
