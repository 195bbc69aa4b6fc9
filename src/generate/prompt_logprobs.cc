#include "generate/prompt_logprobs.h"

#include <algorithm>

#include "base/error.h"
#include "ops/scores/softmax.h"

namespace stablelm {

void AddPromptLogprobs(std::span<const int32_t> ids, int64_t first, std::span<const float> logits, int64_t vocab_size,
                       const TopWanted& top, PromptLogprobs& result) {
  const size_t vocab = static_cast<size_t>(vocab_size), rows = logits.size() / vocab;
  for (size_t r = 0; r < rows; ++r) {
    const size_t next = static_cast<size_t>(first) + r + 1;
    if (next >= ids.size() || next <= result.logprobs.size()) continue;
    STABLELM_CHECK(next == result.logprobs.size() + 1);
    const std::span<const float> row = logits.subspan(r * vocab, vocab);
    const double log_sum = LogSumExp(row.data(), vocab);
    result.logprobs.push_back(static_cast<double>(row[static_cast<size_t>(ids[next])]) - log_sum);
    if (top.wanted <= 0) continue;
    const int64_t known = top.known_ids > 0 ? std::min(top.known_ids, vocab_size) : vocab_size;
    const auto best = top.finder->Of(row, known, top.wanted, log_sum);
    result.top.emplace_back(best.begin(), best.end());
  }
}

}  // namespace stablelm
