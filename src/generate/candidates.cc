#include "generate/candidates.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/error.h"
#include "generate/logits_filters.h"
#include "generate/logits_processors.h"
#include "generate/top_selection.h"
#include "ops/score_row.h"

namespace stablelm {
namespace {

constexpr float kLowest = std::numeric_limits<float>::lowest();
// Top-p looks at the tokens within this of the best score first (e^-8 of its probability): most often it needs no more.
constexpr float kNear = 8;
// Bins of scores by their distance from the best. Further than kReach the weight is 0 (ln 2^-37 = -25.6).
constexpr size_t kBins = 1024;
constexpr float kReach = 26;
// Fewer tokens than this are sorted at once.
constexpr size_t kFew = 512;
constexpr size_t kDrawBlock = 256;

// Never rises with the score.
size_t BinOf(float score, float max, float bins_per_unit) {
  return static_cast<size_t>(std::min((max - score) * bins_per_unit, static_cast<float>(kBins - 1)));
}

}  // namespace

Candidates::Candidates(int64_t vocab_size)
    : ids_(static_cast<size_t>(vocab_size) + kCollectPadding),
      scores_(ids_.size()),
      weights_(ids_.size()),
      bins_(kBins) {
  scratch_.reserve(ids_.size());
  order_.reserve(ids_.size());
}

void Candidates::Take(std::span<float> row) {
  STABLELM_CHECK(!row.empty() && row.size() + kCollectPadding <= ids_.size());
  row_ = row;
  whole_row_ = true;
  count_ = 0;
}

void Candidates::Collect(float least) {
  count_ = CollectAtLeast(row_.data(), row_.size(), least, ids_.data(), scores_.data());
  whole_row_ = false;
}

template <typename F>
void Candidates::Keep(const F& keep) {
  size_t kept = 0;
  for (size_t i = 0; i < count_; ++i) {
    if (!keep(i)) continue;
    ids_[kept] = ids_[i];
    scores_[kept++] = scores_[i];
  }
  count_ = kept;
}

void Candidates::ApplyTemperature(double temperature) {
  if (whole_row_) return stablelm::ApplyTemperature(row_, temperature);
  stablelm::ApplyTemperature({scores_.data(), count_}, temperature);
  Keep([&](size_t i) { return scores_[i] != kRemoved; });  // tiny temperatures remove
}

void Candidates::KeepTopK(int64_t k) {
  const size_t wanted = static_cast<size_t>(k);
  if (whole_row_) {
    if (wanted >= row_.size()) return;
    count_ = SelectTop(row_.data(), row_.size(), wanted, ids_.data(), scores_.data(), scratch_);
    whole_row_ = false;
  } else if (wanted < count_) {
    scratch_.assign(scores_.begin(), scores_.begin() + static_cast<std::ptrdiff_t>(count_));
    const auto kth = scratch_.begin() + static_cast<std::ptrdiff_t>(wanted - 1);
    std::nth_element(scratch_.begin(), kth, scratch_.end(), std::greater<>());
    Keep([&, least = *kth](size_t i) { return scores_[i] >= least; });
  }
}

void Candidates::KeepMinP(double min_p) {
  const float max = whole_row_ ? MaxOf(row_.data(), row_.size()) : MaxOf(scores_.data(), count_);
  if (whole_row_) {
    // One unit below the score that has exactly min_p: no rounding reaches that far.
    const double least = static_cast<double>(max) + std::log(min_p) - 1;
    Collect(static_cast<float>(std::max(least, static_cast<double>(kLowest))));
  }
  SoftmaxWeights(scores_.data(), count_, max, weights_.data());
  Keep([&](size_t i) { return static_cast<double>(weights_[i]) >= min_p; });
}

void Candidates::KeepTopP(double p) {
  if (p >= 1) return;
  float max = 0, reach = kReach;
  double least_mass = 0;  // tokens are kept as long as those before them have less
  if (whole_row_) {
    max = MaxOf(row_.data(), row_.size());
    least_mass = p * SoftmaxWeights(row_.data(), row_.size(), max, weights_.data());
    Collect(std::max(max - kNear, kLowest));
    reach = kNear;
    if (SoftmaxWeights(scores_.data(), count_, max, weights_.data()) < least_mass) {
      Collect(kLowest);
      SoftmaxWeights(scores_.data(), count_, max, weights_.data());
      reach = kReach;
    }
  } else {
    max = MaxOf(scores_.data(), count_);
    least_mass = p * SoftmaxWeights(scores_.data(), count_, max, weights_.data());
  }
  // The bin in which the mass is reached; only that one has to be sorted.
  size_t bin = 0;
  double before = 0;
  const bool by_bins = count_ > kFew;
  const float bins_per_unit = static_cast<float>(kBins) / reach;
  if (by_bins) {
    std::fill(bins_.begin(), bins_.end(), 0.0);
    for (size_t i = 0; i < count_; ++i) {
      bins_[BinOf(scores_[i], max, bins_per_unit)] += static_cast<double>(weights_[i]);
    }
    while (bin + 1 < kBins && before + bins_[bin] < least_mass) before += bins_[bin++];
  }
  order_.clear();
  for (size_t i = 0; i < count_; ++i) {
    if (!by_bins || BinOf(scores_[i], max, bins_per_unit) == bin) order_.push_back(static_cast<int32_t>(i));
  }
  std::sort(order_.begin(), order_.end(), [&](int32_t a, int32_t b) {
    const float sa = scores_[static_cast<size_t>(a)], sb = scores_[static_cast<size_t>(b)];
    return sa != sb ? sa > sb : a < b;
  });
  // Before this bin there is less than the mass, so its first token stays; the most likely of all has the weight 1.
  STABLELM_CHECK(!order_.empty());
  size_t last = 0;
  for (const int32_t place : order_) {
    if (before >= least_mass && before > 0) break;
    last = static_cast<size_t>(place);
    before += static_cast<double>(weights_[last]);
  }
  Keep([&, score = scores_[last]](size_t i) { return scores_[i] > score || (scores_[i] == score && i <= last); });
}

DrawnToken Candidates::Draw(double uniform) {
  const float* scores = whole_row_ ? row_.data() : scores_.data();
  const size_t n = whole_row_ ? row_.size() : count_;
  const float max = MaxOf(scores, n);
  STABLELM_CHECK(n > 0 && max != kRemoved);
  const double total = SoftmaxWeights(scores, n, max, weights_.data());
  const double target = uniform * total;
  double sum = 0;
  size_t begin = 0;
  while (begin + kDrawBlock < n) {
    const double with_block = sum + SumOfWeights(weights_.data() + begin, kDrawBlock);
    if (with_block > target) break;
    sum = with_block;
    begin += kDrawBlock;
  }
  size_t drawn = n;
  for (size_t i = begin; i < n; ++i) {
    if (weights_[i] == 0) continue;
    sum += static_cast<double>(weights_[i]);
    drawn = i;
    if (sum > target) break;
  }
  // Where rounding made the target the whole sum: the last token with a weight.
  while (drawn == n || weights_[drawn] == 0) --drawn;
  return {whole_row_ ? static_cast<int32_t>(drawn) : ids_[drawn], static_cast<double>(weights_[drawn]) / total};
}

std::vector<int32_t> Candidates::Ids() const {
  if (!whole_row_) return {ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(count_)};
  std::vector<int32_t> ids;
  for (size_t i = 0; i < row_.size(); ++i) {
    if (row_[i] != kRemoved) ids.push_back(static_cast<int32_t>(i));
  }
  return ids;
}

}  // namespace stablelm
