#include "model/memory_plan.h"

#include "base/error.h"
#include "base/system.h"
#include "checkpoint/weight_table.h"
#include "model/forward_context.h"
#include "model/kv_cache.h"
#include "ops/packed_matrix.h"
#include "ops/rotary.h"

namespace stablelm {
namespace {

// A tensor of the table, stored as `stored` and wanted as `wanted`. The embedding is used where it is; other matrices
// are packed. `copied`: it cannot be read in place.
void PlanTensor(const WeightEntry& entry, DType stored, std::optional<DType> wanted, bool copied, WeightBytes& bytes) {
  const uint64_t n = static_cast<uint64_t>(entry.shape.NumElements());
  if (!entry.IsMatrix()) {
    bytes.allocated += n * sizeof(float);
    return;
  }
  const DType plain = stored == DType::kF64 ? DType::kF32 : stored;
  const DType type = wanted.value_or(plain);
  if (entry.kind == WeightKind::kEmbedding) {
    (type == stored && !copied ? bytes.mapped : bytes.allocated) += BytesOf(type, entry.shape.NumElements());
    return;
  }
  bytes.allocated += PackedMatrix::Bytes(type, entry.shape[0], entry.shape[1]);
  if (copied || stored == DType::kF64) bytes.allocated += BytesOf(plain, entry.shape.NumElements());  // while loading
}

void PlanTiedOutput(const ModelConfig& config, DType type, WeightBytes& bytes) {
  if (!config.tie_word_embeddings) return;
  bytes.allocated += PackedMatrix::Bytes(type, config.vocab_size, config.hidden_size);
}

}  // namespace

int64_t CachePages(const RunShape& run) {
  const int64_t shared = run.shared / kKvPageTokens;
  return shared + (KvCache::PagesFor(run.context) - shared) * run.sequences;
}

WeightBytes PlanWeights(const ModelConfig& config, DType stored, std::optional<DType> wanted) {
  WeightBytes bytes;
  for (const WeightEntry& entry : WeightTable(config)) PlanTensor(entry, stored, wanted, false, bytes);
  PlanTiedOutput(config, wanted.value_or(stored == DType::kF64 ? DType::kF32 : stored), bytes);
  return bytes;
}

WeightBytes PlanWeights(const ModelFolder& folder, std::optional<DType> wanted) {
  WeightBytes bytes;
  for (size_t i = 0; i < folder.table().size(); ++i) {
    const StoredTensor& tensor = folder.TensorOf(i);
    PlanTensor(folder.table()[i], *tensor.dtype, wanted, !tensor.contiguous(), bytes);
    if (folder.table()[i].kind == WeightKind::kEmbedding) {
      PlanTiedOutput(folder.config(), wanted.value_or(*tensor.dtype == DType::kF64 ? DType::kF32 : *tensor.dtype),
                     bytes);
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
  plan.parts.push_back({"weights (packed)", weights.allocated, false});
  if (weights.mapped > 0) plan.parts.push_back({"weights (embedding, mapped file)", weights.mapped, true});
  plan.parts.push_back({"key-value cache (" + std::string(NameOf(run.kv_type)) + ")",
                        static_cast<uint64_t>(CachePages(run)) * KvCache::BytesPerPage(config, run.kv_type), false});
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
