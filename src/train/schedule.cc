#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/nearest.h"
#include "base/number_text.h"

namespace stablelm {
namespace {

constexpr std::string_view kNames[] = {"constant", "linear", "cosine", "wsd"};  // in the order of ScheduleShape

}  // namespace

std::vector<std::string> ScheduleNames() { return {std::begin(kNames), std::end(kNames)}; }

std::string_view NameOf(ScheduleShape shape) { return kNames[static_cast<size_t>(shape)]; }

ScheduleShape ParseScheduleShape(std::string_view name) {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (name == kNames[i]) return static_cast<ScheduleShape>(i);
  }
  const std::vector<std::string> names = ScheduleNames();
  throw Error({.where = "`schedule`",
               .what = "unknown schedule of the learning rate",
               .found = Quoted(name),
               .expected = Joined(names),
               .hint = DidYouMean(name, names)});
}

Schedule::Schedule(const ScheduleOptions& options) : options_(options) {
  const ScheduleOptions& o = options_;
  if (!std::isfinite(o.rate) || o.rate <= 0) {
    throw Error({.where = "`rate`",
                 .what = "no learning rate",
                 .found = NumberText(o.rate),
                 .expected = "a positive number",
                 .hint = "fine-tuning takes rates about 2e-5, training from scratch about 2e-4"});
  }
  if (!(o.min_ratio >= 0 && o.min_ratio <= 1)) {  // NaN too
    throw Error({.where = "`min_rate_ratio`",
                 .what = "not a part of the learning rate",
                 .found = NumberText(o.min_ratio),
                 .expected = "0 to 1"});
  }
  if (o.steps < 1) {
    throw Error({.where = "`steps`", .what = "no steps", .found = std::to_string(o.steps), .expected = "at least 1"});
  }
  if (o.warmup < 0 || o.warmup > o.steps) {
    throw Error({.where = "`warmup`",
                 .what = "the warm-up does not fit into the steps",
                 .found = std::to_string(o.warmup),
                 .expected = "0 to " + std::to_string(o.steps),
                 .hint = "`--set schedule.warmup=" + std::to_string(o.steps / 10) + "`, or train for more steps"});
  }
  if (o.shape == ScheduleShape::kWsd && (o.decay_steps < 1 || o.decay_steps > o.steps - o.warmup)) {
    throw Error({.where = "`decay_steps`",
                 .what = "the decay of wsd does not fit into the steps after the warm-up",
                 .found = std::to_string(o.decay_steps),
                 .expected = o.steps > o.warmup ? "1 to " + std::to_string(o.steps - o.warmup)
                                                : "a warm-up shorter than " + std::to_string(o.steps) + " steps",
                 .hint = "a tenth of the steps is usual"});
  }
}

double Schedule::RateAt(int64_t n) const {
  const ScheduleOptions& o = options_;
  const double rate = o.rate, min = o.min_ratio * rate;
  if (n <= o.warmup && o.warmup > 0) {
    return rate * static_cast<double>(std::max<int64_t>(1, n)) / static_cast<double>(o.warmup);
  }
  if (o.shape == ScheduleShape::kConstant) return rate;
  if (n > o.steps) return min;
  const double u = static_cast<double>(n - o.warmup) / static_cast<double>(std::max<int64_t>(1, o.steps - o.warmup));
  switch (o.shape) {
    case ScheduleShape::kLinear:
      return std::max(min, rate * (1 - u));
    case ScheduleShape::kCosine:
      return min + (rate - min) / 2 * (1 + std::cos(std::numbers::pi * u));
    default:  // wsd
      const int64_t into_decay = std::max<int64_t>(0, n - (o.steps - o.decay_steps));
      return rate - (rate - min) * static_cast<double>(into_decay) / static_cast<double>(o.decay_steps);
  }
}

}  // namespace stablelm
