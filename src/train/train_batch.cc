#include "train/train_batch.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace stablelm {
namespace {

void CheckIds(std::span<const int32_t> ids, int32_t lowest, int64_t vocab_size, size_t document, const char* kind) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= lowest && ids[i] < vocab_size) continue;
    throw Error({.where = "document " + std::to_string(document) + ", " + kind + " " + std::to_string(i),
                 .what = "id out of range",
                 .found = std::to_string(ids[i]),
                 .expected = "0 to " + std::to_string(vocab_size - 1) +
                             (lowest == kNoTarget ? ", or " + std::to_string(kNoTarget) + " for no target" : ""),
                 .hint = "was the data made with the tokenizer of another model?"});
  }
}

}  // namespace

int64_t CountTokens(TrainBatch batch) {
  int64_t tokens = 0;
  for (const TrainDocument& document : batch) tokens += static_cast<int64_t>(document.tokens.size());
  return tokens;
}

int64_t CountTargets(TrainBatch batch) {
  int64_t targets = 0;
  for (const TrainDocument& document : batch) {
    targets += std::ranges::count_if(document.targets, [](int32_t target) { return target != kNoTarget; });
  }
  return targets;
}

void CheckBatch(const ModelConfig& config, TrainBatch batch, int64_t max_tokens, int64_t max_documents) {
  const int64_t tokens = CountTokens(batch);
  if (batch.empty() || tokens > max_tokens) {
    throw Error({.where = "training batch",
                 .what = batch.empty() ? "no documents" : "too many tokens",
                 .found = std::to_string(tokens),
                 .expected = "1 to " + std::to_string(max_tokens) + " tokens",
                 .hint = "use smaller micro-batches"});
  }
  if (static_cast<int64_t>(batch.size()) > max_documents) {
    throw Error({.where = "training batch",
                 .what = "too many documents",
                 .found = std::to_string(batch.size()),
                 .expected = "at most " + std::to_string(max_documents),
                 .hint = "use smaller micro-batches"});
  }
  for (size_t d = 0; d < batch.size(); ++d) {
    const TrainDocument& document = batch[d];
    STABLELM_CHECK(document.tokens.size() == document.targets.size());
    const int64_t n = static_cast<int64_t>(document.tokens.size());
    if (n < 1 || n > config.max_positions) {
      throw Error({.where = "document " + std::to_string(d),
                   .what = n < 1 ? "no tokens" : "longer than the model's context",
                   .found = std::to_string(n),
                   .expected = "1 to " + std::to_string(config.max_positions) + " tokens",
                   .hint = "split it, or prepare the data with a shorter sequence length"});
    }
    CheckIds(document.tokens, 0, config.vocab_size, d, "token");
    CheckIds(document.targets, kNoTarget, config.vocab_size, d, "target");
  }
}

}  // namespace stablelm
