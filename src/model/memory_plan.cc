#include "model/memory_plan.h"

#include "base/error.h"
#include "base/system.h"
#include "checkpoint/weight_table.h"
#include "model/forward_context.h"
#include "model/kv_cache.h"
#include "ops/rotary.h"

namespace stablelm {

WeightBytes PlanWeights(const ModelConfig& config, DType stored, std::optional<DType> wanted) {
  WeightBytes bytes;
  const DType type = wanted.value_or(stored == DType::kF64 ? DType::kF32 : stored);
  for (const WeightEntry& entry : WeightTable(config)) {
    const uint64_t n = static_cast<uint64_t>(entry.shape.NumElements());
    if (!entry.IsMatrix()) {
      bytes.allocated += n * sizeof(float);
    } else {
      (type == stored ? bytes.mapped : bytes.allocated) += n * BytesOf(type);
    }
  }
  return bytes;
}

WeightBytes PlanWeights(const ModelFolder& folder, std::optional<DType> wanted) {
  WeightBytes bytes;
  for (size_t i = 0; i < folder.table().size(); ++i) {
    const StoredTensor& tensor = folder.TensorOf(i);
    const uint64_t n = static_cast<uint64_t>(tensor.shape.NumElements());
    const DType stored = *tensor.dtype;
    const DType type = wanted.value_or(stored == DType::kF64 ? DType::kF32 : stored);
    if (!folder.table()[i].IsMatrix()) {
      bytes.allocated += n * sizeof(float);
    } else {
      (type == stored && tensor.contiguous() ? bytes.mapped : bytes.allocated) += n * BytesOf(type);
    }
  }
  return bytes;
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
  if (weights.mapped > 0) plan.parts.push_back({"weights (mapped files)", weights.mapped, true});
  plan.parts.push_back(
      {weights.mapped > 0 ? "weights (norms, biases, converted)" : "weights (converted)", weights.allocated, false});
  plan.parts.push_back({"key-value cache (" + std::string(NameOf(run.kv_type)) + ")",
                        static_cast<uint64_t>(KvCache::PagesFor(run.context) * run.sequences) *
                            KvCache::BytesPerPage(config, run.kv_type),
                        false});
  plan.parts.push_back({"activations", ForwardContext::ActivationBytes(config, run), false});
  plan.parts.push_back({"logits", ForwardContext::LogitBytes(config, run), false});
  plan.parts.push_back(
      {"kernel scratch and tables",
       ForwardContext::ScratchBytes(config, run) + RotaryTable::Bytes(config.rotary_dims, config.max_positions),
       false});
  return plan;
}

void RequireFits(const MemoryPlan& plan, uint64_t available) {
  if (plan.Total() <= available) return;
  std::string parts;
  for (const MemoryPart& part : plan.parts)
    parts += (parts.empty() ? "" : ", ") + part.name + " " + HumanBytes(part.bytes);
  throw Error(
      {.where = "memory",
       .what = "this run does not fit",
       .found = HumanBytes(available) + " available",
       .expected = HumanBytes(plan.Total()) + " (" + parts + ")",
       .hint =
           "a shorter context, fewer sequences, --kv fp16 or --dtype fp16 need less; `stablelm fit` shows each part"});
}

}  // namespace stablelm
