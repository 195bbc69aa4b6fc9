// The optimizer of a training run: norm of the gradient, clipping, and AdamW with the rounded weights in one pass over
// memory (ops/adamw.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/execution_context.h"
#include "train/parameters.h"

namespace stablelm {

struct OptimizerOptions {
  double beta1 = 0.9, beta2 = 0.99;
  double epsilon = 1e-8;
  double weight_decay = 0.01;  // of parameters whose table entry decays
  double clip = 1.0;           // largest L2 norm of the whole gradient; 0: no clipping
};

// Factor that clips a gradient of this norm.
double ClipFactor(double norm, double clip);

class Optimizer {
 public:
  // The parameters outlive it.
  Optimizer(Parameters& parameters, const OptimizerOptions& options);

  const OptimizerOptions& options() const { return options_; }
  // L2 norm of all gradients as they lie; NaN or infinity when an element is not finite, and only then.
  double GradientNorm(ExecutionContext& exec);

  struct Update {
    double rate = 0;
    double gradient_scale = 1;  // clipping and unscaling
    int64_t t = 1;              // number of the update, from 1
  };
  // Updates elements [begin, end) of the parameters, multiples of kNormChunk or the end: any part, in any order.
  void Apply(const Update& update, size_t begin, size_t end, ExecutionContext& exec);

 private:
  // Elements [begin, end), each with the decay of its parameter.
  void ApplyBlock(const Update& update, size_t begin, size_t end);

  Parameters& parameters_;
  const OptimizerOptions options_;
  std::vector<double> chunk_sums_;
};

}  // namespace stablelm
