#include "cli/commands/score_tensors.h"

namespace stablelm {

ScoreTensors::ScoreTensors(const std::string& logits_path, const std::string& hidden_path, const ModelConfig& config,
                           const std::vector<std::vector<int32_t>>& sequences)
    : vocab_size_(config.vocab_size),
      hidden_size_(config.hidden_size),
      states_(static_cast<size_t>(config.n_layers) + 1) {
  std::vector<SafetensorsEntry> logits, hidden;
  for (size_t s = 0; s < sequences.size(); ++s) {
    const int64_t length = static_cast<int64_t>(sequences[s].size());
    const std::string name = std::to_string(s);
    logits.push_back({"logits." + name, DType::kF32, {length, vocab_size_}});
    for (size_t l = 0; l < states_; ++l) {
      hidden.push_back({"hidden." + name + "." + std::to_string(l), DType::kF32, {length, hidden_size_}});
    }
  }
  if (!logits_path.empty()) logits_ = std::make_unique<SafetensorsWriter>(logits_path, logits);
  if (!hidden_path.empty()) hidden_ = std::make_unique<SafetensorsWriter>(hidden_path, hidden);
}

ScoreSinks ScoreTensors::SinksOf(size_t sequence) {
  ScoreSinks sinks;
  if (logits_) {
    sinks.logits = [this, sequence](int64_t first, int64_t, std::span<const float> rows) {
      logits_->WriteAt(sequence, static_cast<uint64_t>(first * vocab_size_) * sizeof(float), std::as_bytes(rows));
    };
  }
  if (hidden_) {
    sinks.hidden = [this, sequence](int64_t index, int64_t first, std::span<const float> rows) {
      hidden_->WriteAt(sequence * states_ + static_cast<size_t>(index),
                       static_cast<uint64_t>(first * hidden_size_) * sizeof(float), std::as_bytes(rows));
    };
  }
  return sinks;
}

void ScoreTensors::Commit() {
  if (logits_) logits_->Commit();
  if (hidden_) hidden_->Commit();
}

}  // namespace stablelm
