// From one row of logits to one token: bans and penalties, then the most likely token, or filters and a draw.
//
// Sampler is what one sample of one request needs to remember; the buffers are in a SamplerWorkspace, one per thread,
// which any number of samplers use in turn. Nothing is allocated from the second token on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "generate/sampling/candidates.h"
#include "generate/sampling/dry.h"
#include "generate/sampling/logits_filters.h"
#include "generate/sampling/logits_processors.h"
#include "generate/sampling/sampler_order.h"
#include "generate/sampling/sampling_options.h"
#include "generate/sampling/top_logprobs.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

// A rule on which tokens may come next that depends on those that came before, such as a grammar.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // Sets the scores of tokens that may not come next to -inf.
  virtual void Apply(std::span<float> scores) = 0;
  virtual void Accept(int32_t id) = 0;
  // Goes back to the state after the first `generated` accepted tokens.
  virtual void Truncate(int64_t generated) = 0;
};

struct SamplerSetup {
  SamplingOptions options = {};
  uint64_t seed = 0;
  uint64_t sample = 0;                      // number of this sample within its request
  std::vector<int32_t> stop_ids = {};       // what min_length, min_new_tokens and the length decay speak of
  std::vector<int32_t> banned_ids = {};     // never chosen
  int64_t known_ids = 0;                    // ids from here on are padding: never chosen, never listed; 0: none
  int64_t top_logprobs = 0;                 // how many of the most likely tokens to list with each choice
  std::optional<Tokenizer> tokenizer = {};  // for DRY's breakers; without one they are not known
  std::shared_ptr<TokenConstraint> constraint = {};  // of this sample alone
  bool plain = false;  // use the plain filters throughout: the same tokens, slower; for tests and measurements
};

struct ChosenToken {
  int32_t id = 0;
  double logprob = 0;  // ln of the probability in the raw logits over all V: no ban, penalty or filter is in it
  // The most likely tokens of the raw logits, falling, the lower id first among equals; as many as asked for and known.
  // Valid until the workspace is used again.
  std::span<const TokenLogprob> top = {};
  // The step that removed every token that was left, else empty: the best of those stayed then.
  std::string_view emptied_by = {};
};

// Buffers for rows of one model. One thread at a time.
class SamplerWorkspace {
 public:
  explicit SamplerWorkspace(int64_t vocab_size);
  // The tokens from which the last one was drawn, in order: for tests and reports. Empty after a greedy choice.
  std::vector<int32_t> LastCandidates() const { return drawn_ ? candidates_.Ids() : std::vector<int32_t>(); }

 private:
  friend class Sampler;
  std::vector<float> row_;
  TokenCounts counts_;
  Dry dry_;
  FilterScratch filters_;
  Candidates candidates_;
  TopLogprobs top_;
  bool drawn_ = false;
};

// One sample of one request. A draw depends on the processed scores and on (seed, sample, generated) alone: Philox with
// the seed as key, the sample's number as stream and the tokens generated so far as index.
class Sampler {
 public:
  // Throws Error as CheckSamplingOptions.
  Sampler(SamplerSetup setup, int64_t vocab_size);

  // logits [V]: finite or -inf, not all -inf; anything else is an Error. `ids`: the prompt and the `generated` tokens
  // after it. Choices come in order: `generated` is 0, then one more each time; a smaller number goes back to the state
  // after that many tokens first.
  ChosenToken Choose(std::span<const float> logits, std::span<const int32_t> ids, int64_t generated,
                     SamplerWorkspace& workspace);

  // Forgets the tokens chosen after the first `generated`.
  void Truncate(int64_t generated);

  // The processors without filters, on a row of scores of the caller's (log-probabilities in a beam search). Returns
  // the step that removed every token, as ChosenToken::emptied_by.
  std::string_view Process(std::span<float> scores, std::span<const int32_t> ids, int64_t generated,
                           SamplerWorkspace& workspace);

  bool greedy() const { return setup_.options.Greedy(); }

 private:
  struct Place;  // where in the text a step works
  void RunProcessor(SamplerStep step, const Place& at, Removal& removal);
  void RunFilter(SamplerStep step, const Place& at);
  void RunFast(SamplerStep step, Candidates& candidates) const;
  std::string_view RunGuarded(SamplerStep step, const Place& at);
  int32_t Draw(const Place& at);

  SamplerSetup setup_;
  int64_t vocab_size_;
  std::vector<SamplerStep> steps_;  // active, in order
  bool any_processor_ = false;
  bool fast_ = false;  // the filters are those of Candidates and come last
  Philox random_;
  std::vector<double> mirostat_mu_;  // [i]: mu before token i
  int64_t accepted_ = 0;
};

}  // namespace stablelm
