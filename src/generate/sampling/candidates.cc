#include "generate/sampling/candidates.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "generate/sampling/logits_filters.h"
#include "generate/sampling/logits_processors.h"
#include "generate/sampling/top_selection.h"
#include "ops/scores/score_row.h"

namespace stablelm {
namespace {

constexpr float kLowest = std::numeric_limits<float>::lowest();
// Top-p first gathers only tokens whose score is within this of the best one (e^-8 of its probability); they usually
// suffice.
constexpr float kNear = 8;
// Gather tokens only when they are at most 1/kFewOf of the row; for more, masking the others in place is cheaper.
constexpr size_t kFewOf = 8;
constexpr size_t kDrawBlock = 256;

// The smallest float >= value.
float FloatNotBelow(double value) {
  const float rounded = static_cast<float>(value);
  return static_cast<double>(rounded) < value ? std::nextafter(rounded, std::numeric_limits<float>::infinity())
                                              : rounded;
}

}  // namespace

Candidates::Candidates(int64_t vocab_size)
    : ids_(static_cast<size_t>(vocab_size) + kCollectPadding),
      scores_(ids_.size()),
      weights_(ids_.size()),
      finder_(static_cast<size_t>(vocab_size)) {}

void Candidates::Take(std::span<float> row) {
  STABLELM_CHECK(!row.empty() && row.size() + kCollectPadding <= ids_.size());
  row_ = row;
  whole_row_ = true;
  count_ = 0;
  weighed_ = false;
}

void Candidates::Weigh() {
  if (weighed_) return;
  max_ = MaxOf(scores(), size());
  STABLELM_CHECK(size() > 0 && max_ != kRemoved);
  total_ = SoftmaxWeights(scores(), size(), max_, weights_.data());
  weighed_ = true;
}

bool Candidates::FewAtLeast(float least) const {
  return CountAtLeast(row_.data(), row_.size(), least) <= row_.size() / kFewOf;
}

void Candidates::Collect(float least) {
  count_ = CollectAtLeast(row_.data(), row_.size(), least, ids_.data(), scores_.data());
  whole_row_ = false;
  if (!weighed_) return;
  // ids_[i] >= i, so no weight is overwritten before it is read.
  for (size_t i = 0; i < count_; ++i) weights_[i] = weights_[static_cast<size_t>(ids_[i])];
  total_ = SumOfWeights(weights_.data(), count_);
}

// Every filter keeps the best token, so max_ and with it the weights stay valid.
template <typename F>
void Candidates::Keep(const F& keep) {
  size_t kept = 0;
  for (size_t i = 0; i < count_; ++i) {
    if (!keep(i)) continue;
    ids_[kept] = ids_[i];
    scores_[kept] = scores_[i];
    weights_[kept++] = weights_[i];
  }
  count_ = kept;
  if (weighed_) total_ = SumOfWeights(weights_.data(), count_);
}

void Candidates::KeepWeights(double least) {
  if (whole_row_) {
    total_ = RemoveBelow(weights_.data(), row_.size(), FloatNotBelow(least), row_.data(), weights_.data());
  } else {
    Keep([&](size_t i) { return static_cast<double>(weights_[i]) >= least; });
  }
}

void Candidates::ApplyTemperature(double temperature) {
  weighed_ = false;
  if (whole_row_) return stablelm::ApplyTemperature(row_, temperature);
  stablelm::ApplyTemperature({scores_.data(), count_}, temperature);
  Keep([&](size_t i) { return scores_[i] != kRemoved; });  // tiny temperatures turn scores into -inf
}

void Candidates::KeepTopK(int64_t k) {
  const size_t wanted = static_cast<size_t>(k);
  if (wanted >= size()) return;
  if (whole_row_ && !weighed_ && wanted <= row_.size() / kFewOf) {
    count_ = SelectTop(row_.data(), row_.size(), wanted, ids_.data(), scores_.data(), finder_);
    whole_row_ = false;
    return;
  }
  const float least = finder_.Find(scores(), nullptr, size(), static_cast<double>(k)).score;
  if (whole_row_) {  // the sum is meaningful only when the weights are computed
    total_ = RemoveBelow(row_.data(), row_.size(), least, row_.data(), weights_.data());
  } else {
    Keep([&](size_t i) { return scores_[i] >= least; });
  }
}

void Candidates::KeepMinP(double min_p) {
  if (whole_row_ && !weighed_) {
    // One below the score of exactly min_p: more than any rounding error.
    const double lowest = static_cast<double>(MaxOf(row_.data(), row_.size())) + std::log(min_p) - 1;
    const float least = static_cast<float>(std::max(lowest, static_cast<double>(kLowest)));
    if (FewAtLeast(least)) Collect(least);
  }
  Weigh();
  KeepWeights(min_p);
}

void Candidates::KeepTopP(double p) {
  if (p >= 1) return;
  Weigh();
  const double mass = p * total_;  // keep tokens while those before them have less
  if (whole_row_) {
    const float near = std::max(max_ - kNear, kLowest);
    if (FewAtLeast(near)) {
      // The gathered weights overwrite those of the row, which are computed again when the gathered ones do not
      // suffice.
      Collect(near);
      if (total_ < mass) {
        whole_row_ = true;
        weighed_ = false;
        Weigh();
      }
    }
  }
  const RankedCut cut = finder_.Find(scores(), weights_.data(), size(), mass);
  if (!whole_row_) {
    return Keep([&](size_t i) { return scores_[i] > cut.score || (scores_[i] == cut.score && i <= cut.place); });
  }
  // Up to the last kept index keep scores >= the cut; after it only larger ones.
  const size_t begin = cut.place + 1, rest = row_.size() - begin;
  total_ = RemoveBelow(row_.data(), begin, cut.score, row_.data(), weights_.data());
  total_ += RemoveBelow(row_.data() + begin, rest, std::nextafter(cut.score, std::numeric_limits<float>::infinity()),
                        row_.data() + begin, weights_.data() + begin);
}

void Candidates::KeepSurprise(double mu) {
  Weigh();
  const size_t best = FirstEqual(scores(), size(), max_);
  if (const double least = LeastWeight(total_, mu); least <= 1) return KeepWeights(least);
  if (whole_row_) {  // keep only the best token
    std::fill(row_.begin(), row_.end(), kRemoved);
    std::fill(weights_.begin(), weights_.begin() + static_cast<std::ptrdiff_t>(row_.size()), 0.0f);
    row_[best] = max_;
    weights_[best] = 1;
    total_ = 1;
  } else {
    Keep([&](size_t i) { return i == best; });
  }
}

DrawnToken Candidates::Draw(double uniform) {
  Weigh();
  const size_t n = size();
  const double target = uniform * total_;
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
  // When rounding makes the target equal to the total, take the last token with a nonzero weight.
  while (drawn == n || weights_[drawn] == 0) --drawn;
  return {whole_row_ ? static_cast<int32_t>(drawn) : ids_[drawn], static_cast<double>(weights_[drawn]) / total_};
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
