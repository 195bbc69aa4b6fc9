// Random initial weights of a new model, for training from scratch and for benchmarks.
//
// Initialisation of GPT-NeoX, as used to train StableLM-Alpha: "small_init" N(0, 2 / (5 C)) for the embedding, the
// query-key-value and up matrices and the output matrix; "wang_init" N(0, (2 / (L sqrt C))^2) for the two matrices that
// write to the residual stream. Biases are 0; norm weights 1, norm biases 0.
#pragma once

#include <cstdint>
#include <functional>

#include "base/dtype.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/rewrite/tensor_copy.h"

namespace stablelm {

struct InitialWeights {
  uint64_t seed = 0;
  DType dtype = DType::kF32;              // of the output: kF32, kF16 or kBF16
  ThreadPool* pool = nullptr;             // not owned, not null
  Progress* progress = nullptr;           // not owned, may be null: counts bytes
  std::function<void()> checkpoint = {};  // called before every piece, from any thread; may throw to abort
};

// Generates the weights of every entry of WeightTable(config) and passes them to the sink. Element i of tensor t
// depends only on (seed, t, i): any number of threads and any order of pieces gives the same bytes, on every machine.
void DrawInitialWeights(const ModelConfig& config, const InitialWeights& how, const TensorSink& sink);

}  // namespace stablelm
