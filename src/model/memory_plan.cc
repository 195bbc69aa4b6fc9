#include "model/memory_plan.h"

#include <algorithm>

#include "base/error.h"
#include "base/system.h"
#include "checkpoint/describe/weight_table.h"
#include "model/forward_context.h"
#include "model/kv_cache.h"
#include "ops/packed_matrix.h"
#include "ops/rotary.h"

namespace stablelm {
namespace {

// The tensors of a table one after another. The embedding is used where it is, or copied; other matrices are packed.
class WeightPlanner {
 public:
  explicit WeightPlanner(const WeightForm& form) : form_(form) {}

  // Entry `i`, stored as `stored`. `copied`: it cannot be read in place.
  void Add(size_t i, const WeightEntry& entry, DType stored, bool copied) {
    const uint64_t n = static_cast<uint64_t>(entry.shape.NumElements());
    if (!entry.IsMatrix()) {
      bytes_.allocated += n * sizeof(float);
      return;
    }
    const DType plain = stored == DType::kF64 ? DType::kF32 : stored;
    const DType type = form_.types.empty() ? form_.wanted.value_or(plain) : form_.types[i];
    if (entry.kind == WeightKind::kEmbedding) {
      embedding_type_ = type;
      (type == stored && !copied ? bytes_.mapped : bytes_.allocated) += BytesOf(type, entry.shape.NumElements());
      return;
    }
    bytes_.allocated += Packed(type, entry.shape[0], entry.shape[1]);
    if (copied || stored == DType::kF64) {
      largest_copy_ = std::max<uint64_t>(largest_copy_, BytesOf(plain, entry.shape.NumElements()));
    }
  }

  WeightBytes Result(const ModelConfig& config) {
    if (config.tie_word_embeddings) bytes_.allocated += Packed(embedding_type_, config.vocab_size, config.hidden_size);
    bytes_.allocated += largest_copy_;
    return bytes_;
  }

 private:
  uint64_t Packed(DType type, int64_t rows, int64_t columns) const {
    const Compute compute = IsQuantized(type) ? Compute::kExact : form_.compute;
    return PackedMatrix::Bytes(PackedType(type, compute), rows, columns, compute);
  }

  const WeightForm form_;
  DType embedding_type_ = DType::kF32;
  uint64_t largest_copy_ = 0;  // one at a time, while loading
  WeightBytes bytes_;
};

}  // namespace

int64_t CachePages(const RunShape& run) {
  const int64_t shared = run.shared / kKvPageTokens;
  return shared + (KvCache::PagesFor(run.context) - shared) * run.sequences;
}

WeightBytes PlanWeights(const ModelConfig& config, DType stored, const WeightForm& form) {
  WeightPlanner planner(form);
  const std::vector<WeightEntry> table = WeightTable(config);
  for (size_t i = 0; i < table.size(); ++i) planner.Add(i, table[i], stored, false);
  return planner.Result(config);
}

WeightBytes PlanWeights(const ModelFolder& folder, const WeightForm& form) {
  WeightPlanner planner(form);
  for (size_t i = 0; i < folder.table().size(); ++i) {
    const StoredTensor& tensor = folder.TensorOf(i);
    planner.Add(i, folder.table()[i], *tensor.dtype, !tensor.contiguous());
  }
  return planner.Result(folder.config());
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

void RequireFits(const MemoryPlan& plan, uint64_t available) {
  if (plan.Total() <= available) return;
  std::string parts;
  for (const MemoryPart& part : plan.parts) {
    parts += (parts.empty() ? "" : ", ") + part.name + " " + HumanBytes(part.bytes);
  }
  throw Error(
      {.where = "memory",
       .what = "this run does not fit",
       .found = HumanBytes(available) + " available",
       .expected = HumanBytes(plan.Total()) + " (" + parts + ")",
       .hint =
           "a shorter context, fewer sequences, `cache=fp16` or `cache=q8`, `weights=fp16` or `quantize=Q4_K_M` need "
           "less; `stablelm fit` "
           "shows each part"});
}

}  // namespace stablelm
