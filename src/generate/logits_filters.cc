#include "generate/logits_filters.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/error.h"

namespace stablelm {
namespace {

constexpr float kRemoved = -std::numeric_limits<float>::infinity();

}  // namespace

void ApplyTemperature(std::span<float> scores, double temperature) {
  STABLELM_CHECK(!scores.empty() && temperature > 0);
  const float max = *std::max_element(scores.begin(), scores.end());
  if (max == kRemoved) return;
  for (float& s : scores) s = static_cast<float>((static_cast<double>(s) - max) / temperature);
}

void KeepTopK(std::span<float> scores, int64_t k, FilterScratch& scratch) {
  STABLELM_CHECK(k >= 1);
  if (k >= static_cast<int64_t>(scores.size())) return;
  scratch.values.assign(scores.begin(), scores.end());
  const auto kth = scratch.values.begin() + (k - 1);
  std::nth_element(scratch.values.begin(), kth, scratch.values.end(), std::greater<>());
  const float least = *kth;
  for (float& s : scores) {
    if (s < least) s = kRemoved;
  }
}

void KeepTopP(std::span<float> scores, double p, FilterScratch& scratch) {
  STABLELM_CHECK(!scores.empty() && p >= 0 && p <= 1);
  if (p >= 1) return;
  const double max = *std::max_element(scores.begin(), scores.end());
  if (max == kRemoved) return;
  std::vector<int32_t>& order = scratch.ids;  // least likely first
  std::vector<double>& weights = scratch.weights;
  order.clear();
  weights.resize(scores.size());
  double total = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] == kRemoved) continue;
    order.push_back(static_cast<int32_t>(i));
    weights[i] = std::exp(static_cast<double>(scores[i]) - max);
    total += weights[i];
  }
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    const float sa = scores[static_cast<size_t>(a)], sb = scores[static_cast<size_t>(b)];
    return sa != sb ? sa < sb : a > b;
  });
  double below = 0;
  for (size_t i = 0; i + 1 < order.size(); ++i) {
    const size_t id = static_cast<size_t>(order[i]);
    below += weights[id] / total;
    if (below > 1 - p) break;
    scores[id] = kRemoved;
  }
}

}  // namespace stablelm
