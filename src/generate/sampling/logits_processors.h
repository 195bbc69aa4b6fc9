// Processors: bans and penalties that change the scores of one row before a token is chosen, in greedy decoding,
// sampling and beam search.
//
// Follows transformers' LogitsProcessors of the same names. `ids` is the prompt and the tokens generated so far. A
// removed token has the score -inf and stays removed; finite scores stay finite (clamped to the largest float). Ids
// outside the row are ignored. Calls keep no state, so truncating the generated tokens needs no undo.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "generate/sampling/sampling_options.h"

namespace stablelm {

inline constexpr float kRemoved = -std::numeric_limits<float>::infinity();

// The best token that a step removed. It is kept when the step would have removed every remaining token.
struct Removal {
  int32_t id = -1;
  float score = kRemoved;
};
// Sets the score of `id` to -inf.
void Remove(std::span<float> scores, int32_t id, Removal& removal);
void RemoveAll(std::span<float> scores, std::span<const int32_t> ids, Removal& removal);

// s += bias; -infinity removes.
void AddLogitBias(std::span<float> scores, std::span<const LogitBias> biases, Removal& removal);

// Counts how often each id occurs in a window. Clears the counts with the same window, so only those ids are touched.
class TokenCounts {
 public:
  explicit TokenCounts(int64_t vocab_size) : counts_(static_cast<size_t>(vocab_size)) {}
  // Calls f(id, count) once for every distinct id of `window` that is below vocab_size.
  template <typename F>
  void ForEach(std::span<const int32_t> window, const F& f) {
    for (const int32_t id : window) {
      if (Known(id)) ++counts_[static_cast<size_t>(id)];
    }
    for (const int32_t id : window) {
      if (!Known(id)) continue;
      int32_t& count = counts_[static_cast<size_t>(id)];
      if (count > 0) f(id, count);
      count = 0;
    }
  }

 private:
  bool Known(int32_t id) const { return id >= 0 && static_cast<size_t>(id) < counts_.size(); }
  std::vector<int32_t> counts_;  // zero between calls
};

// The last n of ids; n < 0: all.
std::span<const int32_t> LastIds(std::span<const int32_t> ids, int64_t n);

// Once for every distinct id of the window: s * penalty if s < 0, else s / penalty.
void PenalizeRepetition(std::span<float> scores, std::span<const int32_t> window, double penalty, TokenCounts& counts);
// s -= penalty for every distinct id of the window.
void PenalizePresence(std::span<float> scores, std::span<const int32_t> window, double penalty, TokenCounts& counts);
// s -= penalty * (how often the id occurs in the window).
void PenalizeFrequency(std::span<float> scores, std::span<const int32_t> window, double penalty, TokenCounts& counts);

// Removes tokens that would complete an n-gram already in ids, n >= 1.
void BanRepeatedNgrams(std::span<float> scores, std::span<const int32_t> ids, int64_t n, Removal& removal);

// Removes the last id of each word if `ids` ends with the word's other ids. Ignores a word that is a single stop id, as
// transformers does. (transformers also ignores a word with more ids than the context; we do not skip a ban.)
void BanWords(std::span<float> scores, std::span<const int32_t> ids, std::span<const std::vector<int32_t>> words,
              std::span<const int32_t> stop_ids, Removal& removal);

// Raises the scores of the stop ids: s += |s| (factor ^ (generated - start) - 1) once generated > start.
void DecayLength(std::span<float> scores, std::span<const int32_t> stop_ids, int64_t generated, int64_t start,
                 double factor);

// Converts a score from fp64 and keeps it finite.
float AsScore(double value);

}  // namespace stablelm
