// Predicts the memory that a run needs, part by part, before anything is allocated.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/system.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/model_folder.h"
#include "model/run_shape.h"
#include "model/weight_placement.h"

namespace stablelm {

struct WeightBytes {
  uint64_t mapped = 0;     // used in place in the files: the embedding
  uint64_t allocated = 0;  // packed matrices, fp32 vectors, a converted embedding
  uint64_t adapters = 0;   // PlanAdapters (model/load_adapters.h)
};
// The weights of a model whose matrices are stored as `stored`.
WeightBytes PlanWeights(const ModelConfig& config, DType stored, const WeightTypes& wanted);
// The weights of an opened folder, tensor by tensor: upper bounds for what LoadWeights maps and allocates.
WeightBytes PlanWeights(const ModelFolder& folder, const WeightTypes& wanted);

struct MemoryPart {
  std::string name;  // "weights (mapped files)", "key-value cache", ...
  uint64_t bytes = 0;
  bool file_pages = false;  // pages of mapped files: the system may evict and re-read them, which is slow
};

struct MemoryPlan {
  std::vector<MemoryPart> parts;
  uint64_t Total() const;
  uint64_t Anonymous() const;  // without file pages
};

MemoryPlan PlanMemory(const ModelConfig& config, const WeightBytes& weights, const RunShape& run);

// Throws Error, listing each part and its size, when the plan exceeds `available` bytes. `hint`: what needs less;
// empty: what a run of generation may change.
void RequireFits(const MemoryPlan& plan, const MemoryLimit& available, const std::string& hint = {});

}  // namespace stablelm
