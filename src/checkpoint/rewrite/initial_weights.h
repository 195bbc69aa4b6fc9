// Random weights of a new model, for training from scratch and for measuring speed.
//
// Initialisation of GPT-NeoX as StableLM-Alpha was trained with it: "small_init" N(0, 2 / (5 C)) for the embedding, the
// query-key-value and up matrices and the output matrix; "wang_init" N(0, (2 / (L sqrt C))^2) for the two matrices that
// write to the residual stream. Biases 0; norms 1 and 0.
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
  DType dtype = DType::kF32;              // of the bytes: kF32, kF16 or kBF16
  ThreadPool* pool = nullptr;             // not owned, not null
  Progress* progress = nullptr;           // not owned, may be null: counts bytes
  std::function<void()> checkpoint = {};  // called before every piece, from any thread; may throw to end the work
};

// Gives the weights of every entry of WeightTable(config) to the sink. Number i of tensor t is a function of
// (seed, t, i) alone: any threads, any order of pieces, the same bytes, on every machine.
void DrawInitialWeights(const ModelConfig& config, const InitialWeights& how, const TensorSink& sink);

}  // namespace stablelm
