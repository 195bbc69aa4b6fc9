// From an opened model to weights in memory: every tensor of the weight table once, in one place.
//
// Matrices of linear layers are packed panel by panel, the embedding stays in the mapped file where it can, vectors
// become aligned fp32 (model/weight_placement.h says what becomes of each). File pages are released behind the reader,
// so that the peak is the result, a small buffer for each thread, and one tensor at a time where a .bin file stores it
// with strides.
#pragma once

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
  std::optional<Activation> activation = {};  // instead of config.json's: original training used the tanh form
  bool check_values = false;                  // refuse NaN and infinity, naming the tensor
  bool show_progress = false;
  ThreadPool* pool = nullptr;  // not owned, may be null: one thread
};

// Mapped files live as long as the weights. Throws Error: no memory; with check_values, or when a matrix is quantized,
// a value that is not finite, by tensor, row and column.
std::shared_ptr<const ModelWeights> LoadWeights(std::shared_ptr<const ModelFolder> folder, const LoadOptions& options);

}  // namespace stablelm
