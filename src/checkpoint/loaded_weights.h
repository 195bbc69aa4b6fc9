// The weights of a model, ready for the forward pass: every tensor of the weight table, immutable, in memory or in the
// mapped file itself.
//
// Matrices are handed out as stored when LoadOptions::dtype is empty: fp32, fp16 and bf16 stay where they are in the
// mapped file, at any byte address, and are read when they are used; fp64 becomes fp32; quantized ones (GGUF)
// stay as they are. With a dtype all are converted once, tensor by tensor, file pages released behind the reader; with
// types of their own (quantizing while loading) they are encoded row by row as `stablelm quantize` does.
// Vectors (norms, biases) are always aligned fp32 copies: they are small.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "base/tensor.h"
#include "base/thread_pool.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "ops/compute.h"

namespace stablelm {

class ModelFolder;  // checkpoint/model_folder.h

struct LoadOptions {
  std::optional<DType> dtype;     // kF32, kF16 or kBF16 for matrices; empty: as stored
  std::vector<DType> types = {};  // [table] or empty: instead of dtype, what each matrix becomes, quantized types too
  Compute compute = Compute::kExact;  // of linear layers; kFast rounds their float matrices, as `dtype` or `types`
                                      // leave them, to bf16. Not the embedding's
  bool linears_as_stored = false;     // matrices of linear layers are not converted: the caller will, after Fetch
  bool check_values = false;          // refuse NaN and infinity, naming the tensor
  bool show_progress = false;
  ThreadPool* pool = nullptr;  // not owned, may be null: one thread
};

class LoadedWeights {
 public:
  // Takes the folder: mapped files live as long as the weights. Throws Error.
  static LoadedWeights Load(std::shared_ptr<const ModelFolder> folder, const LoadOptions& options);
  LoadedWeights(LoadedWeights&&) noexcept;
  LoadedWeights& operator=(LoadedWeights&&) noexcept;
  ~LoadedWeights();

  const ModelConfig& config() const;
  QkvOrder qkv_order() const;  // of the rows of kQkvWeight and kQkvBias
  // Bytes of a tensor as Get gives it, also before Fetch.
  size_t BytesOfTensor(WeightKind kind, int32_t layer = -1) const;
  // With linears_as_stored, before Get: copies a matrix that cannot be read in place (fp64, a strided view of a .bin
  // file), so that one of them at a time is in memory. No effect on others.
  void Fetch(WeightKind kind, int32_t layer, const LoadOptions& options);
  // layer = -1 outside the layers. A tied model gives the embedding for kOutput. Aborts on a tensor that the table
  // lacks, that was not fetched, or that was dropped.
  TensorView Get(WeightKind kind, int32_t layer = -1) const;
  // The file pages of a part of a tensor, in bytes from its beginning, leave this process, and come again when they are
  // read. No effect on tensors that are not in place.
  void Release(WeightKind kind, int32_t layer, size_t begin, size_t bytes) const;
  // The tensor is not needed any more: frees it when it is a copy.
  void Drop(WeightKind kind, int32_t layer = -1);
  size_t MappedBytes() const;     // bytes used in place in the files
  size_t AllocatedBytes() const;  // bytes of converted copies

 private:
  struct State;
  explicit LoadedWeights(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace stablelm
