#include "eval/importance_collector.h"

#include "base/error.h"
#include "checkpoint/gguf/gguf_keys.h"

namespace stablelm {
namespace {

constexpr size_t kGrain = 64;  // columns

// The module whose output a matrix is multiplied with (model/block.cc, model/transformer.cc); empty when the weight is
// not a Linear.
std::string_view InputOf(WeightKind kind, bool tied) {
  switch (kind) {
    case WeightKind::kQkvWeight:
      return "input_layernorm";
    case WeightKind::kAttnOutWeight:
      return "attention";
    case WeightKind::kMlpUpWeight:
      return "post_attention_layernorm";
    case WeightKind::kMlpDownWeight:
      return "mlp.act";
    case WeightKind::kOutput:
      return "final_layer_norm";
    case WeightKind::kEmbedding:
      return tied ? "final_layer_norm" : "";
    default:
      return {};
  }
}

}  // namespace

ImportanceCollector::ImportanceCollector(const ModelConfig& config, ThreadPool& pool) : pool_(pool) {
  for (const WeightEntry& entry : WeightTable(config)) {
    const std::string_view module = InputOf(entry.kind, config.tie_word_embeddings);
    if (module.empty()) continue;
    inputs_.push_back({entry.layer, module});
    sums_.push_back({.name = GgufTensorName(entry),
                     .squares = std::vector<double>(static_cast<size_t>(entry.shape[1])),
                     .tokens = 0});
  }
}

void ImportanceCollector::OnStep(int64_t layer, std::string_view module, const float* y, int64_t rows, int64_t width) {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].layer != layer || inputs_[i].module != module) continue;
    std::vector<double>& squares = sums_[i].squares;
    STABLELM_CHECK(squares.size() == static_cast<size_t>(width));
    sums_[i].tokens += static_cast<uint64_t>(rows);
    pool_.ForRanges(squares.size(), kGrain, [&](size_t begin, size_t end) {
      for (int64_t r = 0; r < rows; ++r) {
        const float* row = y + r * width;
        for (size_t c = begin; c < end; ++c) squares[c] += static_cast<double>(row[c]) * static_cast<double>(row[c]);
      }
    });
  }
}

}  // namespace stablelm
