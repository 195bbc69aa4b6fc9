#include "model/memory_plan.h"

#include <algorithm>

#include "base/error_kinds.h"
#include "checkpoint/describe/weight_table.h"
#include "model/forward_context.h"
#include "model/kv_cache.h"
#include "ops/rotary.h"

namespace stablelm {
namespace {

// Sums the placements of all tensors.
class WeightPlanner {
 public:
  void Add(const WeightPlacement& placed) {
    (placed.where == WeightPlacement::Where::kMapped ? bytes_.mapped : bytes_.allocated) += placed.bytes;
    largest_gathered_ = std::max(largest_gathered_, placed.gathered);
  }
  WeightBytes Result() const { return {.mapped = bytes_.mapped, .allocated = bytes_.allocated + largest_gathered_}; }

 private:
  uint64_t largest_gathered_ = 0;  // only one tensor is gathered at a time
  WeightBytes bytes_;
};

template <typename PlacementOf>
WeightBytes AddUp(const std::vector<WeightEntry>& table, const ModelConfig& config, const WeightTypes& wanted,
                  const PlacementOf& placement_of) {
  WeightPlanner planner;
  for (size_t i = 0; i < table.size(); ++i) {
    const WeightPlacement placed = placement_of(i);
    planner.Add(placed);
    if (table[i].kind == WeightKind::kEmbedding && config.tie_word_embeddings) {
      planner.Add(PlaceTiedOutput(config, placed.type, wanted));
    }
  }
  return planner.Result();
}

}  // namespace

WeightBytes PlanWeights(const ModelConfig& config, DType stored, const WeightTypes& wanted) {
  const std::vector<WeightEntry> table = WeightTable(config);
  return AddUp(table, config, wanted, [&](size_t i) { return PlaceWeight(i, table[i], stored, true, wanted); });
}

WeightBytes PlanWeights(const ModelFolder& folder, const WeightTypes& wanted) {
  return AddUp(folder.table(), folder.config(), wanted, [&](size_t i) {
    const StoredTensor& tensor = folder.TensorOf(i);
    return PlaceWeight(i, folder.table()[i], *tensor.dtype, tensor.contiguous(), wanted);
  });
}

uint64_t MemoryPlan::Total() const {
  uint64_t total = 0;
  for (const MemoryPart& part : parts) total += part.bytes;
  return total;
}

uint64_t MemoryPlan::Anonymous() const {
  uint64_t total = 0;
  for (const MemoryPart& part : parts) total += part.file_pages ? 0 : part.bytes;
  return total;
}

MemoryPlan PlanMemory(const ModelConfig& config, const WeightBytes& weights, const RunShape& run) {
  MemoryPlan plan;
  plan.parts.push_back({"weights (packed)", weights.allocated, false});
  if (weights.mapped > 0) plan.parts.push_back({"weights (embedding, mapped file)", weights.mapped, true});
  if (weights.adapters > 0) plan.parts.push_back({"adapters", weights.adapters, false});
  plan.parts.push_back({"key-value cache (" + std::string(KvTypeName(run.kv_type)) + ")",
                        static_cast<uint64_t>(CachePages(run)) * KvCache::BytesPerPage(config, run.kv_type), false});
  plan.parts.push_back({"activations", ForwardContext::ActivationBytes(config, run), false});
  plan.parts.push_back({"logits", ForwardContext::LogitBytes(config, run), false});
  plan.parts.push_back(
      {"kernel scratch and tables",
       ForwardContext::ScratchBytes(config, run) + RotaryTable::Bytes(config.rotary_dims, config.max_positions),
       false});
  return plan;
}

void RequireFits(const MemoryPlan& plan, const MemoryLimit& available, const std::string& hint) {
  if (plan.Total() <= available.bytes) return;
  constexpr const char* kGenerationHint =
      "a shorter context, fewer sequences, `cache=fp16` or `cache=q8`, `weights=fp16` or `quantize=Q4_K_M` need less; "
      "`stablelm fit` shows each part";
  std::string parts;
  for (const MemoryPart& part : plan.parts) {
    parts += (parts.empty() ? "" : ", ") + part.name + " " + HumanBytes(part.bytes);
  }
  throw OutOfMemory({.where = "memory",
                     .what = "this run does not fit",
                     .found = HumanBytes(available) + " available, by " + available.by,
                     .expected = HumanBytes(plan.Total()) + " (" + parts + ")",
                     .hint = hint.empty() ? kGenerationHint : hint});
}

}  // namespace stablelm
