// Measures the speed of training steps on random tokens, and the time of their parts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/repeated_timing.h"
#include "train/step_timer.h"
#include "train/training_step.h"

namespace stablelm {

struct TrainSpeedCase {
  int64_t documents = 1;      // of a micro-batch
  int64_t length = 0;         // tokens of a document
  int64_t micro_batches = 1;  // of a step
  double targets = 1;         // share of the tokens that bear loss, 0 to 1

  int64_t TokensPerPass() const { return documents * length; }
  int64_t TokensPerStep() const { return TokensPerPass() * micro_batches; }
};

struct TrainSpeedResult {
  Samples seconds = {};  // of a step
  Samples tokens_per_s = {};
  double flops = 0;                       // TrainFlops
  std::map<std::string, double> ms = {};  // of each part (kStepPartNames) and "rest", from one step more
  double loss = 0;                        // of the last step
  int64_t steps = 0, skipped = 0;         // skipped: the gradient overflowed fp16, and nothing was updated
  std::string overflow = {};              // where the last one began
};

// Arithmetic of the products and of causal attention of one step, both ways, without what is computed again (a
// multiply-add counts as two). Rows without a target cost no vocabulary projection; what is not trained has no gradient
// of weights, and nothing is propagated below the lowest layer that is trained. A step without targets computes
// nothing.
double TrainFlops(const ModelConfig& config, const ParameterTable& table, const TrainSpeedCase& of);

// One step that warms up, then `samples`. Updates the parameters at a rate of 1e-5. before_step may throw to end it.
TrainSpeedResult MeasureTraining(Parameters& parameters, TrainingStep& step, const TrainSpeedCase& of, uint64_t samples,
                                 const std::function<void()>& before_step = {});

}  // namespace stablelm
