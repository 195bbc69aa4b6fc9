// The most likely tokens of a row of raw logits, with their log-probabilities.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "generate/sampling/ranked_cut.h"

namespace stablelm {

struct TokenLogprob {
  int32_t id = 0;
  double logprob = 0;  // ln p from the raw logits over all V
};

// Buffers for rows of one model. One thread at a time; nothing is allocated after the first call.
class TopLogprobs {
 public:
  explicit TopLogprobs(int64_t vocab_size);

  // The `wanted` most likely ids below `known_ids` (at most V), in descending order, ties by the lower id. `log_sum` is
  // LogSumExp of the row. Valid until the next call.
  std::span<const TokenLogprob> Of(std::span<const float> logits, int64_t known_ids, int64_t wanted, double log_sum);

 private:
  std::vector<int32_t> ids_;
  std::vector<float> values_;
  RankedCutFinder finder_;
  std::vector<TokenLogprob> top_;
};

}  // namespace stablelm
