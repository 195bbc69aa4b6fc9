// Log-probabilities of given tokens, from the logits of the tokens before them: the one place where prompts are scored.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "generate/sampling/top_logprobs.h"

namespace stablelm {

struct PromptLogprobs {
  std::vector<double> logprobs;                // ln p(ids[t + 1] | ids[0 .. t]): one fewer than ids when whole
  std::vector<std::vector<TokenLogprob>> top;  // the most likely tokens at each of these places, when they are wanted
};

// Which alternatives are listed with each token.
struct TopWanted {
  TopLogprobs* finder = nullptr;  // not null when wanted > 0
  int64_t wanted = 0;
  int64_t known_ids = 0;  // ids from here on are padding and never listed; 0: none
};

// Adds what the rows say of `ids`: logits [rows, V] of ids[first], ids[first + 1], ... Rows whose successor is scored
// already, or lies behind the last id, are passed over. first <= result.logprobs.size().
void AddPromptLogprobs(std::span<const int32_t> ids, int64_t first, std::span<const float> logits, int64_t vocab_size,
                       const TopWanted& top, PromptLogprobs& result);

}  // namespace stablelm
