// From one row of logits to one token: banned ids, then greedy choice, or temperature, top-k, top-p and a draw.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "generate/logits_filters.h"

namespace stablelm {

struct SamplingOptions {
  double temperature = 0;  // 0: greedy, the most likely token, the lowest id among equals; the rest is then unused
  int64_t top_k = 0;       // draw among the k most likely; 0: among all
  double top_p = 1;        // draw among the most likely that make up p; 1: among all
  bool Greedy() const { return temperature == 0; }
};

struct ChosenToken {
  int32_t id = 0;
  double logprob = 0;  // ln of the probability in the raw logits over all V: no ban, temperature or filter is in it
};

// One sample of one request, one thread. A draw depends on the logits and on (seed, sample, index) alone: Philox with
// the seed as key, the sample's number within its request as stream and the tokens generated so far as index.
class Sampler {
 public:
  Sampler(const SamplingOptions& options, uint64_t seed, uint64_t sample)
      : options_(options), random_(seed), sample_(sample) {}

  // logits [V], finite. `banned` ids count as -inf. Throws Error when every id is banned.
  ChosenToken Choose(std::span<const float> logits, uint64_t index, std::span<const int32_t> banned = {});

 private:
  int32_t Draw(std::span<const float> scores, uint64_t index) const;
  SamplingOptions options_;
  Philox random_;
  uint64_t sample_;
  std::vector<float> scores_;
  FilterScratch scratch_;
};

}  // namespace stablelm
