// The bookkeeping of a beam search: running beams, finished beams, and when to stop. No model, no tokenizer.
//
// Follows transformers' GenerationMixin._beam_search (4.50 and later, where the length penalty counts generated tokens
// alone), for one prompt.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace stablelm {

enum class EarlyStopping : uint8_t {
  kFalse,  // stop when no running beam, at its current length, can beat the worst finished one
  kTrue,   // stop when there are as many finished beams as options.beams
  kNever,  // with length_penalty > 0: stop when no running beam could beat it at the maximum length
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
  size_t parent = 0;  // index of the running beam that it continues
  int32_t id = 0;
  double logprob = 0;  // of this token, from the raw logits
  double sum = 0;      // of the processed log-probabilities, including this token's
  bool is_stop = false;
};
// Order of candidates: the larger sum first, then the lower parent, then the lower id.
bool operator<(const BeamCandidate& a, const BeamCandidate& b);

struct Beam {
  std::vector<int32_t> ids;      // generated
  std::vector<double> logprobs;  // of each id, from the raw logits
  double sum = 0;                // of the processed log-probabilities
  double score = 0;              // once finished
  bool stopped = false;          // ended by a stop id, the last of ids
};

class BeamState {
 public:
  // Starts with one empty running beam. max_new_tokens >= 1.
  BeamState(const BeamOptions& options, size_t n_stop_ids, int64_t max_new_tokens);

  // How many of the best candidates Advance needs: enough to keep every beam running even if some candidates stop.
  size_t CandidatesWanted() const;
  std::span<const Beam> running() const { return running_; }
  // For each running beam, the index of its parent among the beams before the last Advance.
  std::span<const size_t> parents() const { return parents_; }

  // One step. `candidates`: the best of all continuations, sorted. `last`: nothing may be generated after this step
  // (length or time limit). Returns whether the search continues; running() then has at most `beams` beams.
  bool Advance(std::span<const BeamCandidate> candidates, bool last);

  // The best num_return finished beams, best first, filled up with running beams when too few are finished.
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
