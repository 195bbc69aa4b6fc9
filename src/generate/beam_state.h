// The bookkeeping of a beam search: which texts go on, which are finished, when it is over. No model, no tokenizer.
//
// Follows transformers' GenerationMixin._beam_search (4.50 and later, where the length penalty counts generated tokens
// alone), for one prompt.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace stablelm {

enum class EarlyStopping : uint8_t {
  kFalse,  // over when no running beam, at its present length, can beat the worst finished one
  kTrue,   // over when there are as many finished ones as beams
  kNever,  // with length_penalty > 0: over when no running beam could at the greatest length
};

inline constexpr int64_t kMostBeams = 256;

struct BeamOptions {
  int64_t beams = 1;          // at most kMostBeams
  int64_t num_return = 1;     // at most beams
  double length_penalty = 1;  // score = sum of log-probabilities / (generated tokens ^ length_penalty)
  EarlyStopping early_stopping = EarlyStopping::kFalse;
};
// Throws Error that names the field.
void CheckBeamOptions(const BeamOptions& options);

struct BeamCandidate {
  size_t parent = 0;  // number of the running beam that it continues
  int32_t id = 0;
  double logprob = 0;  // of this token in the raw logits
  double sum = 0;      // of the processed log-probabilities, this token's included
  bool is_stop = false;
};
// The order in which candidates are taken: the larger sum, then the lower parent, then the lower id.
bool operator<(const BeamCandidate& a, const BeamCandidate& b);

struct Beam {
  std::vector<int32_t> ids;      // generated
  std::vector<double> logprobs;  // of each, in the raw logits
  double sum = 0;                // of the processed log-probabilities
  double score = 0;              // once finished
  bool stopped = false;          // by a stop id, the last of ids
};

class BeamState {
 public:
  // Starts with one running beam without tokens. max_new_tokens >= 1.
  BeamState(const BeamOptions& options, size_t n_stop_ids, int64_t max_new_tokens);

  // How many of the best candidates Advance wants: enough that a text goes on for every beam.
  size_t CandidatesWanted() const;
  std::span<const Beam> running() const { return running_; }
  // candidates[i].parent of running()[i], as it was before the last Advance.
  std::span<const size_t> parents() const { return parents_; }

  // One step. `candidates`: the best of all continuations, sorted. `last`: nothing may be generated after this step
  // (the length is reached, time is over). Returns whether the search goes on; then running() are at most `beams`
  // texts.
  bool Advance(std::span<const BeamCandidate> candidates, bool last);

  // The best num_return of the finished ones, best first. Those still running join when too few are finished.
  std::vector<Beam> Best() const;

 private:
  double Normalized(double sum, int64_t length) const;
  void Finish(Beam beam);
  bool ImprovementPossible() const;

  BeamOptions options_;
  size_t n_stop_ids_;
  int64_t max_new_tokens_;
  int64_t length_ = 0;  // generated tokens of the running beams
  std::vector<Beam> running_;
  std::vector<size_t> parents_;
  std::vector<Beam> finished_;  // best first, at most options_.beams
};

}  // namespace stablelm
