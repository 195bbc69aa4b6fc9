#include "generate/sampling/logits_filters.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "generate/sampling/logits_processors.h"
#include "ops/scores/score_row.h"

namespace stablelm {
namespace {

// The remaining tokens, in id order, are in scratch.ids, values and weights.
struct Left {
  size_t n = 0;
  double total = 0;  // sum of the weights
  float max = kRemoved;
};

Left TokensLeft(std::span<const float> scores, FilterScratch& scratch) {
  STABLELM_CHECK(!scores.empty());
  scratch.ids.resize(scores.size() + kCollectPadding);
  scratch.values.resize(scores.size() + kCollectPadding);
  scratch.weights.resize(scores.size());
  scratch.distances.reserve(scores.size());
  scratch.order.reserve(scores.size());
  Left left;
  left.n = CollectAtLeast(scores.data(), scores.size(), std::numeric_limits<float>::lowest(), scratch.ids.data(),
                          scratch.values.data());
  if (left.n == 0) return left;
  left.max = MaxOf(scratch.values.data(), left.n);
  left.total = SoftmaxWeights(scratch.values.data(), left.n, left.max, scratch.weights.data());
  return left;
}

// -sum p ln p. ln p comes from the scores, because the grid of the weights would cut off its tail.
double Entropy(const Left& left, const FilterScratch& scratch) {
  const double log_total = std::log(left.total);
  double entropy = 0;
  for (size_t i = 0; i < left.n; ++i) {
    const double log_p = static_cast<double>(scratch.values[i]) - static_cast<double>(left.max) - log_total;
    entropy -= static_cast<double>(scratch.weights[i]) / left.total * log_p;
  }
  return entropy;
}

// Removes the remaining tokens for which drop(i) holds; i is the index in the scratch.
template <typename F>
void RemoveLeft(std::span<float> scores, const Left& left, const FilterScratch& scratch, const F& drop) {
  for (size_t i = 0; i < left.n; ++i) {
    if (drop(i)) scores[static_cast<size_t>(scratch.ids[i])] = kRemoved;
  }
}

template <typename F>
const std::vector<size_t>& SortedPlaces(size_t n, FilterScratch& scratch, const F& before) {
  scratch.order.resize(n);
  std::iota(scratch.order.begin(), scratch.order.end(), size_t{0});
  std::sort(scratch.order.begin(), scratch.order.end(), before);
  return scratch.order;
}

// Incremental sort: extends the sorted prefix of `order`, whose first `sorted` entries are in order. Starts with few
// entries, since few are usually needed. Returns the new length of the sorted prefix.
template <typename F>
size_t SortMore(std::vector<size_t>& order, size_t sorted, const F& before) {
  const size_t end = std::min(order.size(), sorted + std::max<size_t>(256, 3 * sorted));
  const auto at = [&](size_t i) { return order.begin() + static_cast<ptrdiff_t>(i); };
  if (end < order.size()) std::nth_element(at(sorted), at(end), order.end(), before);
  std::sort(at(sorted), at(end), before);
  return end;
}

void CutBelow(std::span<float> scores, double least, const Left& left, const FilterScratch& scratch) {
  RemoveLeft(scores, left, scratch, [&](size_t i) {
    return static_cast<double>(scratch.weights[i]) / left.total < least && scratch.values[i] < left.max;
  });
}

}  // namespace

void ApplyTemperature(std::span<float> scores, double temperature) {
  STABLELM_CHECK(!scores.empty() && temperature > 0);
  const float max = MaxOf(scores.data(), scores.size());
  if (max == kRemoved) return;
  // When the maximum stays finite, any score that underflows to -inf had probability 0.
  const float divisor = static_cast<float>(temperature);
  if (divisor >= std::numeric_limits<float>::min() && std::isfinite(max / divisor)) {
    DivideInPlace(scores.data(), scores.size(), divisor);
    return;
  }
  for (float& s : scores) s = static_cast<float>((static_cast<double>(s) - static_cast<double>(max)) / temperature);
}

double DynamicTemperature(std::span<const float> scores, double temperature, double range, double exponent,
                          FilterScratch& scratch) {
  const Left left = TokensLeft(scores, scratch);
  const double low = std::max(0.0, temperature - range), high = temperature + range;
  if (left.n < 2) return std::max(temperature, 1e-30);
  const double share = std::clamp(Entropy(left, scratch) / std::log(static_cast<double>(left.n)), 0.0, 1.0);
  return std::max(low + (high - low) * std::pow(share, exponent), 1e-30);
}

void KeepTopNSigma(std::span<float> scores, double n) {
  double sum = 0, squares = 0;
  size_t count = 0;
  float max = kRemoved;
  for (const float s : scores) {
    if (s == kRemoved) continue;
    sum += static_cast<double>(s);
    ++count;
    max = std::max(max, s);
  }
  if (count == 0) return;
  const double mean = sum / static_cast<double>(count);
  for (const float s : scores) {
    if (s != kRemoved) squares += (static_cast<double>(s) - mean) * (static_cast<double>(s) - mean);
  }
  const double least = static_cast<double>(max) - n * std::sqrt(squares / static_cast<double>(count));
  for (float& s : scores) {
    if (static_cast<double>(s) < least) s = kRemoved;
  }
}

void KeepTopK(std::span<float> scores, int64_t k, FilterScratch& scratch) {
  STABLELM_CHECK(k >= 1);
  if (static_cast<uint64_t>(k) >= scores.size()) return;
  scratch.values.assign(scores.begin(), scores.end());
  const auto kth = scratch.values.begin() + (k - 1);
  std::nth_element(scratch.values.begin(), kth, scratch.values.end(), std::greater<>());
  const float least = *kth;
  for (float& s : scores) {
    if (s < least) s = kRemoved;
  }
}

void KeepTopP(std::span<float> scores, double p, FilterScratch& scratch) {
  STABLELM_CHECK(p >= 0 && p <= 1);
  if (p >= 1) return;
  const Left left = TokensLeft(scores, scratch);
  const float* values = scratch.values.data();
  const std::vector<size_t>& order = SortedPlaces(left.n, scratch, [&](size_t a, size_t b) {
    return values[a] != values[b] ? values[a] > values[b] : a < b;  // most likely first
  });
  double before = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const size_t i = order[rank];
    if (rank > 0 && before >= p * left.total) scores[static_cast<size_t>(scratch.ids[i])] = kRemoved;
    before += static_cast<double>(scratch.weights[i]);
  }
}

void KeepMinP(std::span<float> scores, double min_p, FilterScratch& scratch) {
  const Left left = TokensLeft(scores, scratch);
  // The most likely token has weight 1.
  RemoveLeft(scores, left, scratch, [&](size_t i) { return static_cast<double>(scratch.weights[i]) < min_p; });
}

void KeepTypicalP(std::span<float> scores, double mass, FilterScratch& scratch) {
  const Left left = TokensLeft(scores, scratch);
  if (left.n == 0) return;
  const double entropy = Entropy(left, scratch), log_total = std::log(left.total);
  std::vector<double>& distances = scratch.distances;
  distances.resize(left.n);
  for (size_t i = 0; i < left.n; ++i) {
    const double surprise = log_total + static_cast<double>(left.max) - static_cast<double>(scratch.values[i]);
    distances[i] = std::abs(surprise - entropy);
  }
  const auto before = [&](size_t a, size_t b) {
    return distances[a] != distances[b] ? distances[a] < distances[b] : a < b;
  };
  std::vector<size_t>& order = scratch.order;
  order.resize(left.n);
  std::iota(order.begin(), order.end(), size_t{0});
  double sum = 0;
  size_t last = 0;
  for (size_t sorted = 0; last + 1 < left.n; ++last) {
    if (last == sorted) sorted = SortMore(order, sorted, before);
    sum += static_cast<double>(scratch.weights[order[last]]) / left.total;
    if (sum >= mass) break;
  }
  const double furthest = distances[order[last]];
  RemoveLeft(scores, left, scratch, [&](size_t i) { return distances[i] > furthest; });
}

void CutEpsilon(std::span<float> scores, double epsilon, FilterScratch& scratch) {
  CutBelow(scores, epsilon, TokensLeft(scores, scratch), scratch);
}

void CutEta(std::span<float> scores, double epsilon, FilterScratch& scratch) {
  const Left left = TokensLeft(scores, scratch);
  if (left.n == 0) return;
  CutBelow(scores, std::min(epsilon, std::sqrt(epsilon) * std::exp(-Entropy(left, scratch))), left, scratch);
}

void ExcludeTopChoices(std::span<float> scores, double threshold, FilterScratch& scratch) {
  const Left left = TokensLeft(scores, scratch);
  const auto at_top = [&](size_t i) { return static_cast<double>(scratch.weights[i]) / left.total >= threshold; };
  size_t least = left.n;  // the least likely of them
  for (size_t i = 0; i < left.n; ++i) {
    if (at_top(i) && (least == left.n || scratch.values[i] <= scratch.values[least])) least = i;
  }
  RemoveLeft(scores, left, scratch, [&](size_t i) { return i != least && at_top(i); });
}

void KeepSurprise(std::span<float> scores, double mu, FilterScratch& scratch) {
  const Left left = TokensLeft(scores, scratch);
  if (left.n == 0) return;
  const float* values = scratch.values.data();
  const size_t best = FirstEqual(values, left.n, left.max);
  const double least = LeastWeight(left.total, mu);
  RemoveLeft(scores, left, scratch,
             [&](size_t i) { return i != best && static_cast<double>(scratch.weights[i]) < least; });
}

double LeastWeight(double total, double mu) { return std::max(total * std::exp2(-mu), kWeightStep); }

}  // namespace stablelm
