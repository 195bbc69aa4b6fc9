#include "generate/sampling/top_logprobs.h"

#include <algorithm>

#include "generate/sampling/top_selection.h"
#include "ops/scores/score_row.h"

namespace stablelm {

TopLogprobs::TopLogprobs(int64_t vocab_size)
    : ids_(static_cast<size_t>(vocab_size) + kCollectPadding), values_(ids_.size()), finder_(ids_.size()) {}

std::span<const TokenLogprob> TopLogprobs::Of(std::span<const float> logits, int64_t known_ids, int64_t wanted,
                                              double log_sum) {
  top_.clear();
  const size_t most = static_cast<size_t>(std::min(wanted, known_ids));
  if (most == 0) return {};
  const size_t n = SelectTop(logits.data(), static_cast<size_t>(known_ids), most, ids_.data(), values_.data(), finder_);
  // Of the tokens that tie for the last rank, take the lower ids.
  const float least = n > 0 ? *std::min_element(values_.begin(), values_.begin() + static_cast<std::ptrdiff_t>(n)) : 0;
  top_.reserve(most);
  for (const bool ties : {false, true}) {
    for (size_t i = 0; i < n && top_.size() < most; ++i) {
      if ((values_[i] == least) != ties) continue;
      top_.push_back({ids_[i], static_cast<double>(values_[i]) - log_sum});
    }
  }
  std::sort(top_.begin(), top_.end(), [](const TokenLogprob& a, const TokenLogprob& b) {
    return a.logprob != b.logprob ? a.logprob > b.logprob : a.id < b.id;
  });
  return top_;
}

}  // namespace stablelm
