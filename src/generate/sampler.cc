#include "generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "ops/softmax.h"

namespace stablelm {
namespace {

constexpr float kRemoved = -std::numeric_limits<float>::infinity();

}  // namespace

ChosenToken Sampler::Choose(std::span<const float> logits, uint64_t index, std::span<const int32_t> banned) {
  STABLELM_CHECK(!logits.empty());
  scores_.assign(logits.begin(), logits.end());
  for (const int32_t id : banned) {
    if (id >= 0 && static_cast<size_t>(id) < scores_.size()) scores_[static_cast<size_t>(id)] = kRemoved;
  }
  const auto best = std::max_element(scores_.begin(), scores_.end());  // the first of equals
  if (*best == kRemoved) {
    throw Error({.where = "sampling",
                 .what = "no token is left to choose",
                 .found = "all " + std::to_string(logits.size()) + " ids are banned",
                 .expected = {},
                 .hint = "config.json names every id as an end id; do not ignore the end ids"});
  }
  int32_t id = static_cast<int32_t>(best - scores_.begin());
  if (!options_.Greedy()) {
    ApplyTemperature(scores_, options_.temperature);
    if (options_.top_k > 0) KeepTopK(scores_, options_.top_k, scratch_);
    if (options_.top_p < 1) KeepTopP(scores_, options_.top_p, scratch_);
    id = Draw(scores_, index);
  }
  return {id, static_cast<double>(logits[static_cast<size_t>(id)]) - LogSumExp(logits.data(), logits.size())};
}

int32_t Sampler::Draw(std::span<const float> scores, uint64_t index) const {
  const double max = *std::max_element(scores.begin(), scores.end());
  const auto weight = [&](float score) { return score == kRemoved ? 0.0 : std::exp(static_cast<double>(score) - max); };
  double total = 0;
  for (const float s : scores) total += weight(s);
  const double target = random_.Uniform(sample_, index) * total;
  double sum = 0;
  size_t last = 0;  // the last one with a probability: where rounding would go past the end
  for (size_t i = 0; i < scores.size(); ++i) {
    const double w = weight(scores[i]);
    if (w == 0) continue;
    sum += w;
    last = i;
    if (sum > target) break;
  }
  return static_cast<int32_t>(last);
}

}  // namespace stablelm
