// What a run needs in memory, part by part, before anything is allocated.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/model_folder.h"
#include "ops/compute.h"

namespace stablelm {

// How a model is going to be run. The forward context and the cache are made from the same values.
struct RunShape {
  int64_t context = 0;          // positions per sequence, at most the model's
  int64_t sequences = 1;        // sequences that are in the cache at the same time
  int64_t shared = 0;           // their common beginning: its whole pages are in the cache once
  DType kv_type = DType::kF32;  // kF32, kF16 or kI8
  int64_t max_rows = 256;       // tokens per forward pass: longer prompts go in chunks of this many
  int64_t max_logit_rows = 1;   // rows of one pass whose logits are wanted
  size_t threads = 1;
};

// Pages of the cache that the run needs.
int64_t CachePages(const RunShape& run);

// What a model's weights are in memory: as LoadOptions says.
struct WeightForm {
  std::optional<DType> wanted = {};   // LoadOptions::dtype; empty: as stored
  std::span<const DType> types = {};  // LoadOptions::types
  Compute compute = Compute::kExact;
};

struct WeightBytes {
  uint64_t mapped = 0;     // used in place in the files: the embedding
  uint64_t allocated = 0;  // packed matrices, fp32 vectors, what is converted
};
// The weights of a model whose matrices are stored as `stored`.
WeightBytes PlanWeights(const ModelConfig& config, DType stored, const WeightForm& form);
// The weights of an opened folder, tensor by tensor: what Transformer::Load will map and allocate, at the most.
WeightBytes PlanWeights(const ModelFolder& folder, const WeightForm& form);

struct MemoryPart {
  std::string name;  // "weights (mapped files)", "key-value cache", ...
  uint64_t bytes = 0;
  bool file_pages = false;  // pages of mapped files: the system may drop and re-read them, at the price of speed
};

struct MemoryPlan {
  std::vector<MemoryPart> parts;
  uint64_t Total() const;
  uint64_t Anonymous() const;  // without file pages
};

MemoryPlan PlanMemory(const ModelConfig& config, const WeightBytes& weights, const RunShape& run);

// Throws Error with the parts and the numbers when the plan does not fit into `available` bytes.
void RequireFits(const MemoryPlan& plan, uint64_t available);

}  // namespace stablelm
