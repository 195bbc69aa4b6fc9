#include "train/parameter_table.h"

#include <fnmatch.h>

#include <algorithm>

#include "base/error.h"
#include "ops/low_rank.h"
#include "ops/packed_matrix.h"

namespace stablelm {
namespace {

bool Matches(const std::string& pattern, const std::string& name) {
  return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

size_t Aligned(size_t elements) {
  return (elements + kParameterAlignment - 1) / kParameterAlignment * kParameterAlignment;
}

}  // namespace

ParameterTable::ParameterTable(const ModelConfig& config, std::span<const std::string> trained)
    : lowest_trained_layer_(config.n_layers) {
  const std::vector<WeightEntry> weights = WeightTable(config);
  for (const std::string& pattern : trained) {
    if (std::ranges::any_of(weights, [&](const WeightEntry& w) { return Matches(pattern, w.name); })) continue;
    throw UsageError({.where = "trained parameters",
                      .what = "no parameter has a name like this",
                      .found = Quoted(pattern),
                      .expected = "a pattern such as \"gpt_neox.layers.0.*\" or \"*.attention.*\"",
                      .hint = "`stablelm inspect MODEL --tensors` lists the names"});
  }
  AddModel(config, trained, false);
}

ParameterTable::ParameterTable(const ModelConfig& config, const LoraOptions& lora)
    : lora_(lora), lowest_trained_layer_(config.n_layers) {
  if (lora.rank < 1 || lora.rank > kMaxLowRank) {
    throw UsageError({.where = "LoRA",
                      .what = "rank out of range",
                      .found = std::to_string(lora.rank),
                      .expected = "1 to " + std::to_string(kMaxLowRank)});
  }
  AddModel(config, {}, true);
  const size_t model = entries_.size();
  for (int32_t layer = 0; layer < config.n_layers; ++layer) {
    for (const WeightKind target : lora.targets) {
      for (size_t i = 0; i < model; ++i) {
        const WeightEntry base = entries_[i].weight;
        if (base.kind != target || base.layer != layer) continue;
        for (const AdapterPart part : {AdapterPart::kA, AdapterPart::kB}) {
          const bool a = part == AdapterPart::kA;
          Parameter entry = {.weight = base, .part = part, .packed = true, .decay = !a, .trained = true};
          const std::string stem = base.name.substr(0, base.name.size() - std::string("weight").size());
          entry.weight.name = stem + (a ? "lora_A.weight" : "lora_B.weight");
          entry.weight.shape = a ? Shape{lora.rank, base.shape[1]} : Shape{base.shape[0], lora.rank};
          entry.size = PackedMatrix::Bytes(DType::kF32, entry.weight.shape[0], entry.weight.shape[1]) / sizeof(float);
          Train(entry);
          entries_.push_back(std::move(entry));
        }
      }
    }
  }
}

void ParameterTable::AddModel(const ModelConfig& config, std::span<const std::string> trained, bool frozen) {
  for (const WeightEntry& weight : WeightTable(config)) {
    Parameter entry = {.weight = weight};
    entry.packed = weight.IsMatrix() && (weight.kind != WeightKind::kEmbedding || config.tie_word_embeddings);
    entry.decay = weight.IsMatrix();
    entry.trained = !frozen && (trained.empty() || std::ranges::any_of(trained, [&](const std::string& pattern) {
                                  return Matches(pattern, weight.name);
                                }));
    entry.size = entry.packed ? PackedMatrix::Bytes(DType::kF32, weight.shape[0], weight.shape[1]) / sizeof(float)
                              : static_cast<size_t>(weight.shape.NumElements());
    num_parameters_ += weight.shape.NumElements();
    if (entry.trained) Train(entry);
    entries_.push_back(std::move(entry));
  }
}

void ParameterTable::Train(Parameter& entry) {
  const WeightEntry& weight = entry.weight;
  entry.offset = trained_size_;
  trained_size_ += Aligned(entry.size);
  num_trained_ += weight.shape.NumElements();
  if (weight.kind == WeightKind::kEmbedding) lowest_trained_layer_ = -1;
  if (weight.layer >= 0) lowest_trained_layer_ = std::min<int64_t>(lowest_trained_layer_, weight.layer);
}

const Parameter& ParameterTable::Find(WeightKind kind, int32_t layer) const {
  const auto entry = std::ranges::find_if(
      entries_, [&](const Parameter& p) { return p.weight.kind == kind && p.weight.layer == layer; });
  STABLELM_CHECK(entry != entries_.end());
  return *entry;  // the model's: adapters come after it
}

const Parameter* ParameterTable::FindAdapter(WeightKind kind, int32_t layer, AdapterPart part) const {
  const auto entry = std::ranges::find_if(
      entries_, [&](const Parameter& p) { return p.part == part && p.weight.kind == kind && p.weight.layer == layer; });
  return entry == entries_.end() ? nullptr : &*entry;
}

}  // namespace stablelm
