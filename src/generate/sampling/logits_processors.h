// What changes the scores of one row before a token is chosen, greedily, by a draw or in a beam: bans and penalties.
//
// Follows transformers' LogitsProcessors of the same names. `ids` is the prompt and what was generated so far. A
// removed token's score is -inf and stays so; finite scores stay finite (they stop at the largest float). Ids outside
// of the row are ignored. Nothing is remembered between calls, so going back to fewer generated tokens needs no
// undoing.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "generate/sampling/sampling_options.h"

namespace stablelm {

inline constexpr float kRemoved = -std::numeric_limits<float>::infinity();

// The best token that a step removed: what stays when the step removed all that were left.
struct Removal {
  int32_t id = -1;
  float score = kRemoved;
};
// The score of `id` becomes -inf.
void Remove(std::span<float> scores, int32_t id, Removal& removal);
void RemoveAll(std::span<float> scores, std::span<const int32_t> ids, Removal& removal);

// s += bias; -infinity removes.
void AddLogitBias(std::span<float> scores, std::span<const LogitBias> biases, Removal& removal);

// How often each id occurs in a window; emptied again by the same window, so that only the window is touched.
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

// The last n of ids; n < 0: all of them.
std::span<const int32_t> LastIds(std::span<const int32_t> ids, int64_t n);

// For every distinct id of the window, once: s < 0: s * penalty, else s / penalty.
void PenalizeRepetition(std::span<float> scores, std::span<const int32_t> window, double penalty, TokenCounts& counts);
// s -= penalty for ids of the window.
void PenalizePresence(std::span<float> scores, std::span<const int32_t> window, double penalty, TokenCounts& counts);
// s -= penalty * (how often the id occurs in the window).
void PenalizeFrequency(std::span<float> scores, std::span<const int32_t> window, double penalty, TokenCounts& counts);

// Removes what would complete an n-gram that is in ids already, n >= 1.
void BanRepeatedNgrams(std::span<float> scores, std::span<const int32_t> ids, int64_t n, Removal& removal);

// Removes the last id of each word whose other ids end `ids`. A word that is a stop id alone is left out, as
// transformers does. (transformers also ignores a word as long as it has more ids than the context; a ban that is
// skipped would be no ban.)
void BanWords(std::span<float> scores, std::span<const int32_t> ids, std::span<const std::vector<int32_t>> words,
              std::span<const int32_t> stop_ids, Removal& removal);

// The scores of the stop ids grow: s += |s| (factor ^ (generated - start) - 1) once generated > start.
void DecayLength(std::span<float> scores, std::span<const int32_t> stop_ids, int64_t generated, int64_t start,
                 double factor);

// A score computed in fp64, kept finite.
float AsScore(double value);

}  // namespace stablelm
