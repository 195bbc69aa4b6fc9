#include "train/parameter_table.h"

#include <fnmatch.h>

#include <algorithm>

#include "base/error.h"
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
  for (const WeightEntry& weight : weights) {
    Parameter entry = {.weight = weight};
    entry.packed = weight.IsMatrix() && (weight.kind != WeightKind::kEmbedding || config.tie_word_embeddings);
    entry.decay = weight.IsMatrix();
    entry.trained = trained.empty() || std::ranges::any_of(trained, [&](const std::string& pattern) {
                      return Matches(pattern, weight.name);
                    });
    entry.size = entry.packed ? PackedMatrix::Bytes(DType::kF32, weight.shape[0], weight.shape[1]) / sizeof(float)
                              : static_cast<size_t>(weight.shape.NumElements());
    num_parameters_ += weight.shape.NumElements();
    if (entry.trained) {
      entry.offset = trained_size_;
      trained_size_ += Aligned(entry.size);
      num_trained_ += weight.shape.NumElements();
      if (weight.kind == WeightKind::kEmbedding) lowest_trained_layer_ = -1;
      if (weight.layer >= 0) lowest_trained_layer_ = std::min<int64_t>(lowest_trained_layer_, weight.layer);
    }
    entries_.push_back(std::move(entry));
  }
}

const Parameter& ParameterTable::Find(WeightKind kind, int32_t layer) const {
  const auto entry = std::ranges::find_if(
      entries_, [&](const Parameter& p) { return p.weight.kind == kind && p.weight.layer == layer; });
  STABLELM_CHECK(entry != entries_.end());
  return *entry;
}

}  // namespace stablelm
