// Log-probabilities of given tokens, from the logits of the tokens before them. All scoring of prompts uses this.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "generate/sampling/top_logprobs.h"

namespace stablelm {

struct PromptLogprobs {
  std::vector<double> logprobs;                // [t] = ln p(ids[t + 1] | ids[0 .. t]); ids.size() - 1 when complete
  std::vector<std::vector<TokenLogprob>> top;  // [t]: the most likely tokens in place of ids[t + 1], when requested
};

// Which alternatives to list with each token.
struct TopWanted {
  TopLogprobs* finder = nullptr;  // not null when wanted > 0
  int64_t wanted = 0;
  int64_t known_ids = 0;  // ids >= this are padding and never listed; 0: no padding
};

// Scores `ids` with the logits [rows, V] of ids[first], ids[first + 1], ... and appends to `result`. Skips rows whose
// next token is already scored or past the end of `ids`; the rows continue what `result` has.
void AddPromptLogprobs(std::span<const int32_t> ids, int64_t first, std::span<const float> logits, int64_t vocab_size,
                       const TopWanted& top, PromptLogprobs& result);

}  // namespace stablelm
