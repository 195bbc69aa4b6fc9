// Converts the rows of a tensor to another type, piece by piece. Loading, converting and quantizing share this loop, so
// they give the same bits and the same errors. The caller's sink receives the rows.
//
// Memory besides mapped pages: a small buffer per thread, and a copy of the whole tensor if a .bin file stores it with
// strides. Releases pages of the source after reading them. The result does not depend on the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/aligned_buffer.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "checkpoint/describe/stored_tensor.h"
#include "checkpoint/weight_files.h"
#include "ops/row_converter.h"

namespace stablelm {

// `rows` rows of `width` values in C order, at any byte address.
struct RowSource {
  const std::byte* data = nullptr;
  DType type = DType::kF32;
  int64_t rows = 0, width = 0;
  bool matrix = true;                                            // errors name row and column instead of an index
  std::string where;                                             // file and tensor, for errors
  std::function<void(size_t begin, size_t bytes)> release = {};  // called when these bytes of data are no longer needed
};

// A tensor of a file as rows: in place, or gathered into C order if it is stored with strides. The file must outlive
// it.
class StoredRows {
 public:
  StoredRows(const WeightFile& file, const StoredTensor& tensor);
  ~StoredRows();
  StoredRows(const StoredRows&) = delete;
  StoredRows& operator=(const StoredRows&) = delete;

  // A matrix as its rows, a vector as one row. `source.release` drops the file's pages.
  const RowSource& source() const { return source_; }

 private:
  const WeightFile& file_;
  const StoredTensor& tensor_;
  AlignedBuffer<std::byte> gathered_;
  RowSource source_;
};

struct RowConversion {
  DType type = DType::kF32;             // of the result: fp32, fp16, bf16, the source's own, or a quantized type
  std::span<const float> weights = {};  // column weights for quantized types (ImportanceWeights); may be empty
  NonFinite non_finite = NonFinite::kKeep;
  // Row r of the result is row row_of(r) of the source; empty: r.
  std::function<int64_t(int64_t)> row_of = {};
  int64_t group = 1;                      // every piece begins at a multiple of this many rows
  ThreadPool* pool = nullptr;             // not owned, may be null: one thread
  Progress* progress = nullptr;           // not owned, may be null: counts bytes of the source
  std::function<void()> checkpoint = {};  // called before every piece, from any thread; may throw to abort
};

// Receives rows first, first + 1, ... of the result; the bytes are valid during the call. Called from all threads
// concurrently, for disjoint pieces that cover the whole tensor.
using RowSink = std::function<void(int64_t first, std::span<const std::byte> rows)>;

// Throws Error for a value that conversion.non_finite refuses, with tensor and index; passes on exceptions of sink and
// checkpoint.
void ConvertRows(const RowSource& source, const RowConversion& conversion, const RowSink& sink);

}  // namespace stablelm
