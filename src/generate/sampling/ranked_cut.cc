#include "generate/sampling/ranked_cut.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ops/scores/score_row.h"

namespace stablelm {
namespace {

constexpr size_t kBins = 1024;
constexpr size_t kFew = 128;  // up to this many entries are sorted directly
// Levels of binning. 1024^3 bins separate all entries except ties and adversarial rows, which are sorted.
constexpr int kMostLevels = 3;

// Scale from (max - score) to bins that covers the largest to the smallest score; 0 when there is no such scale.
float BinsPerUnit(float max, float lowest) {
  if (max == lowest) return 1;  // removed tokens go to the last bin
  const float per_unit = static_cast<float>(kBins - 1) / (max - lowest);
  return max > lowest && std::isfinite(per_unit) ? per_unit : 0;
}

}  // namespace

RankedCutFinder::RankedCutFinder(size_t most)
    : bins_(most), found_(most + kCollectPadding), indices_(most), scores_(most), sums_(kBins), order_(most) {}

RankedCut RankedCutFinder::Find(const float* scores, const float* weights, size_t n, double mass) {
  STABLELM_CHECK(n >= 1 && n <= bins_.size());
  const float* left = scores;  // the entries that contain the answer
  double before = 0;           // sum of the weights before all of them
  const auto index_of = [&](size_t i) { return left == scores ? static_cast<int32_t>(i) : indices_[i]; };
  const auto weight_of = [&](size_t i) {
    return weights ? static_cast<double>(weights[static_cast<size_t>(index_of(i))]) : 1.0;
  };
  for (int level = 0; level < kMostLevels && n > kFew; ++level) {
    const float max = MaxOf(left, n), per_unit = BinsPerUnit(max, LowestOf(left, n));
    if (per_unit == 0) break;
    BinsBelow(left, n, max, per_unit, static_cast<int32_t>(kBins - 1), bins_.data());
    std::fill(sums_.begin(), sums_.end(), 0.0);
    for (size_t i = 0; i < n; ++i) sums_[static_cast<size_t>(bins_[i])] += weight_of(i);
    size_t bin = 0;
    while (bin + 1 < kBins && before + sums_[bin] < mass) before += sums_[bin++];
    n = IndicesOf(bins_.data(), n, static_cast<int32_t>(bin), found_.data());
    STABLELM_CHECK(n >= 1);
    for (size_t i = 0; i < n; ++i) {  // found_[i] >= i, so nothing is overwritten before it is read
      const size_t from = static_cast<size_t>(found_[i]);
      indices_[i] = index_of(from);
      scores_[i] = left[from];
    }
    left = scores_.data();
  }
  for (size_t i = 0; i < n; ++i) order_[i] = {left[i], index_of(i)};
  const auto end = order_.begin() + static_cast<std::ptrdiff_t>(n);
  const auto is_before = [](const Entry& a, const Entry& b) {
    return a.score != b.score ? a.score > b.score : a.place < b.place;
  };
  if (!std::is_sorted(order_.begin(), end, is_before)) std::sort(order_.begin(), end, is_before);
  size_t last = 0;
  for (;; ++last) {
    const size_t place = static_cast<size_t>(order_[last].place);
    before += weights ? static_cast<double>(weights[place]) : 1.0;
    if (before >= mass || last + 1 == n) return {.score = order_[last].score, .place = place};
  }
}

}  // namespace stablelm
