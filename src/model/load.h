// Loads the weights of an opened model into memory, tensor by tensor of the weight table.
//
// Matrices of linear layers are packed panel by panel, the embedding stays in the mapped file where possible, vectors
// become aligned fp32 (rules in model/weight_placement.h). Types that IsDecodeOnly become another type. File pages are
// released once they are read, so peak memory is the result, a small buffer per thread, and one tensor at a time that a
// .bin file stores with strides.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/model_folder.h"
#include "model/model_weights.h"
#include "model/weight_placement.h"

namespace stablelm {

struct LoadOptions {
  std::optional<DType> dtype = {};            // WeightTypes::dtype
  std::vector<DType> types = {};              // WeightTypes::types: quantizing while loading (checkpoint/rewrite)
  Compute compute = Compute::kExact;          // WeightTypes::compute
  std::optional<Activation> activation = {};  // overrides config.json: original training used the tanh form
  bool check_values = false;                  // reject NaN and infinity, naming the tensor
  bool show_progress = false;
  // Bytes read of bytes to read, see ProgressMore::listener; what it throws, LoadWeights throws.
  std::function<void(uint64_t done, uint64_t total)> on_progress = {};
  ThreadPool* pool = nullptr;  // not owned; null: one thread
};

// The weights keep the mapped files open. Throws Error when out of memory and, with check_values or when a matrix is
// quantized, for a non-finite value, named by tensor, row and column.
std::shared_ptr<const ModelWeights> LoadWeights(std::shared_ptr<const ModelFolder> folder, const LoadOptions& options);

}  // namespace stablelm
