#include "generate/sampling/logits_processors.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace stablelm {
namespace {

bool InRow(std::span<const float> scores, int32_t id) { return id >= 0 && static_cast<size_t>(id) < scores.size(); }

// Applies f to the score of `id` unless the token is removed or outside the row.
template <typename F>
void Change(std::span<float> scores, int32_t id, const F& f) {
  if (!InRow(scores, id)) return;
  float& s = scores[static_cast<size_t>(id)];
  if (s != kRemoved) s = AsScore(f(static_cast<double>(s)));
}

}  // namespace

float AsScore(double value) {
  constexpr double kMax = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(value, -kMax, kMax));
}

void Remove(std::span<float> scores, int32_t id, Removal& removal) {
  if (!InRow(scores, id)) return;
  float& s = scores[static_cast<size_t>(id)];
  if (s > removal.score || (s == removal.score && s != kRemoved && id < removal.id)) removal = {id, s};
  s = kRemoved;
}

void RemoveAll(std::span<float> scores, std::span<const int32_t> ids, Removal& removal) {
  for (const int32_t id : ids) Remove(scores, id, removal);
}

void AddLogitBias(std::span<float> scores, std::span<const LogitBias> biases, Removal& removal) {
  for (const LogitBias& b : biases) {
    if (b.bias == -std::numeric_limits<double>::infinity()) {
      Remove(scores, b.id, removal);
    } else {
      Change(scores, b.id, [&](double s) { return s + b.bias; });
    }
  }
}

std::span<const int32_t> LastIds(std::span<const int32_t> ids, int64_t n) {
  if (n < 0 || static_cast<uint64_t>(n) >= ids.size()) return ids;
  return ids.last(static_cast<size_t>(n));
}

void PenalizeRepetition(std::span<float> scores, std::span<const int32_t> window, double penalty, TokenCounts& counts) {
  counts.ForEach(window, [&](int32_t id, int32_t) {
    Change(scores, id, [&](double s) { return s < 0 ? s * penalty : s / penalty; });
  });
}

void PenalizePresence(std::span<float> scores, std::span<const int32_t> window, double penalty, TokenCounts& counts) {
  counts.ForEach(window, [&](int32_t id, int32_t) { Change(scores, id, [&](double s) { return s - penalty; }); });
}

void PenalizeFrequency(std::span<float> scores, std::span<const int32_t> window, double penalty, TokenCounts& counts) {
  counts.ForEach(window,
                 [&](int32_t id, int32_t count) { Change(scores, id, [&](double s) { return s - penalty * count; }); });
}

void BanRepeatedNgrams(std::span<float> scores, std::span<const int32_t> ids, int64_t n, Removal& removal) {
  STABLELM_CHECK(n >= 1);
  if (static_cast<uint64_t>(n) > ids.size()) return;
  const size_t known = static_cast<size_t>(n) - 1;  // ids of an n-gram without its last
  const std::span<const int32_t> tail = ids.last(known);
  for (size_t begin = 0; begin + known < ids.size(); ++begin) {
    if (std::equal(tail.begin(), tail.end(), ids.begin() + static_cast<ptrdiff_t>(begin))) {
      Remove(scores, ids[begin + known], removal);
    }
  }
}

void BanWords(std::span<float> scores, std::span<const int32_t> ids, std::span<const std::vector<int32_t>> words,
              std::span<const int32_t> stop_ids, Removal& removal) {
  for (const std::vector<int32_t>& word : words) {
    const size_t known = word.size() - 1;
    if (known == 0 && std::find(stop_ids.begin(), stop_ids.end(), word[0]) != stop_ids.end()) continue;
    if (known > ids.size()) continue;
    const std::span<const int32_t> tail = ids.last(known);
    if (std::equal(tail.begin(), tail.end(), word.begin())) Remove(scores, word.back(), removal);
  }
}

void DecayLength(std::span<float> scores, std::span<const int32_t> stop_ids, int64_t generated, int64_t start,
                 double factor) {
  if (generated <= start) return;
  const double growth = std::pow(factor, static_cast<double>(generated - start)) - 1;
  for (const int32_t id : stop_ids) {
    Change(scores, id, [&](double s) { return s == 0 ? s : s + std::abs(s) * growth; });  // 0 * infinity is NaN
  }
}

}  // namespace stablelm
