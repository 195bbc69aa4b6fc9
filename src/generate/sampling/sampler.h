// Chooses a token from one row of logits: bans and penalties, then the most likely token, or filters and sampling.
//
// A Sampler holds the state of one sample of one request. The buffers are in a SamplerWorkspace, one per thread, which
// any number of samplers use in turn. Nothing is allocated after the first token.
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

// Restricts the next token depending on the previous ones, such as a grammar. For the server:
// no command makes one yet.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // Sets the scores of tokens that are not allowed next to -inf.
  virtual void Apply(std::span<float> scores) = 0;
  virtual void Accept(int32_t id) = 0;
  // Returns to the state after the first `generated` accepted tokens.
  virtual void Truncate(int64_t generated) = 0;
};

struct SamplerSetup {
  SamplingOptions options = {};
  uint64_t seed = 0;
  uint64_t sample = 0;                               // index of this sample within its request
  int64_t begun = 0;                                 // tokens of this sample that were generated before (resumed)
  std::vector<int32_t> stop_ids = {};                // used by min_length, min_new_tokens and the length decay
  std::vector<int32_t> banned_ids = {};              // never chosen
  int64_t known_ids = 0;                             // ids >= this are padding: never chosen or listed; 0: no padding
  int64_t top_logprobs = 0;                          // how many of the most likely tokens to list with each choice
  std::optional<Tokenizer> tokenizer = {};           // for DRY breakers; without it DRY has none
  std::shared_ptr<TokenConstraint> constraint = {};  // not shared with other samples
  bool plain = false;  // always use the plain filters: same tokens, slower; for tests and benchmarks
};

struct ChosenToken {
  int32_t id = 0;
  double logprob = 0;  // ln p from the raw logits over all V, without bans, penalties and filters
  // The most likely tokens of the raw logits, in descending order, ties by the lower id; top_logprobs of them, without
  // padding. Valid until the workspace is used again.
  std::span<const TokenLogprob> top = {};
  // Name of the step that would have removed every remaining token; its best candidate was kept. Empty if none.
  std::string_view emptied_by = {};
};

// Buffers for rows of one model. One thread at a time.
class SamplerWorkspace {
 public:
  explicit SamplerWorkspace(int64_t vocab_size);
  // The candidates from which the last token was sampled, in id order, for tests and reports. Empty after a greedy
  // choice.
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

// One sample of one request. The sampled token depends only on the processed scores and on (seed, sample, generated):
// Philox with the seed as key, the sample index as stream and the number of tokens generated so far as index.
class Sampler {
 public:
  // Throws Error as CheckSamplingOptions.
  Sampler(SamplerSetup setup, int64_t vocab_size);

  // logits [V]: finite or -inf, not all -inf; anything else is an Error. `ids`: the prompt and the `generated` tokens
  // after it. Call in order: `generated` is 0, then one more each time. A smaller value first truncates the state to
  // that many tokens.
  ChosenToken Choose(std::span<const float> logits, std::span<const int32_t> ids, int64_t generated,
                     SamplerWorkspace& workspace);

  // Drops the state of the tokens after the first `generated`.
  void Truncate(int64_t generated);

  // Runs only the processors, on the caller's scores (log-probabilities in a beam search). Returns the step that would
  // have removed every token, as ChosenToken::emptied_by.
  std::string_view Process(std::span<float> scores, std::span<const int32_t> ids, int64_t generated,
                           SamplerWorkspace& workspace);

  bool greedy() const { return setup_.options.Greedy(); }

 private:
  struct Place;  // the row and context that a step works on
  void RunProcessor(SamplerStep step, const Place& at, Removal& removal);
  void RunFilter(SamplerStep step, const Place& at);
  void RunFast(SamplerStep step, Candidates& candidates) const;
  std::string_view RunGuarded(SamplerStep step, const Place& at);
  int32_t Draw(const Place& at);

  SamplerSetup setup_;
  int64_t vocab_size_;
  std::vector<SamplerStep> steps_;  // active, in order
  bool any_processor_ = false;
  bool fast_ = false;  // all filters are available in Candidates and come last
  Philox random_;
  std::vector<double> mirostat_mu_;  // [i]: mu before token i
  int64_t accepted_ = 0;
};

}  // namespace stablelm
