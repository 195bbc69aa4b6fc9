// How long a run will take, measured on its own data, and what would make it fit into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/system.h"
#include "train/finetune.h"

namespace stablelm {

struct RunEstimate {
  double seconds_per_step = 0;
  double tokens_per_s = 0;
  double seconds = 0;  // of all steps; validation, samples and checkpoints come on top
};

// Loads the model, computes one micro-batch to warm up and times three more, with an update each. Writes nothing.
// Throws Error as a run does.
RunEstimate EstimateRun(const FineTune& tune, size_t threads, bool show_progress);

// Throws Error when this machine does not have the memory of the run, with CheapestChange.
void RequireMemory(const FineTune& tune, size_t threads);

// A hint for a run whose plan is larger than `available`: the settings that make it fit at the lowest price in time and
// exactness, and what they need; or that none does, with the smallest plan.
std::string CheapestChange(const FineTune& tune, size_t threads, const MemoryLimit& available);

}  // namespace stablelm
