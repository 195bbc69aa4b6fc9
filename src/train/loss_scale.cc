#include "train/loss_scale.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"
#include "base/number_text.h"

namespace stablelm {
namespace {

void Require(bool good, const char* where, const std::string& found, const std::string& expected) {
  if (!good) throw Error({.where = where, .what = "cannot be used", .found = found, .expected = expected});
}

constexpr const char* kDiverged =
    "training has diverged: go back to an earlier checkpoint with a lower rate or a longer warm-up, or train in bf16, "
    "which needs no loss scale";

}  // namespace

LossScaler::LossScaler(const LossScaleOptions& options)
    : options_(options), state_({.scale = options.initial, .hysteresis = options.hysteresis}) {
  const LossScaleOptions& o = options_;
  Require(std::isfinite(o.min) && o.min > 0, "smallest loss scale", NumberText(o.min), "a positive number");
  Require(std::isfinite(o.max) && o.max >= o.min, "largest loss scale", NumberText(o.max),
          "at least " + NumberText(o.min));
  Require(o.initial >= o.min && o.initial <= o.max, "loss scale", NumberText(o.initial),
          NumberText(o.min) + " to " + NumberText(o.max));
  Require(o.window >= 1, "window of the loss scale", std::to_string(o.window), "at least 1 step");
  Require(o.hysteresis >= 1, "hysteresis of the loss scale", std::to_string(o.hysteresis), "at least 1");
  Require(o.max_skipped >= 1, "skipped steps in a row", std::to_string(o.max_skipped), "at least 1");
}

void LossScaler::Restore(const LossScaleState& s) {
  const LossScaleOptions& o = options_;
  Require(s.scale >= o.min && s.scale <= o.max, "checkpoint: loss scale", NumberText(s.scale),
          NumberText(o.min) + " to " + NumberText(o.max));
  Require(s.hysteresis >= 1 && s.hysteresis <= o.hysteresis, "checkpoint: hysteresis of the loss scale",
          std::to_string(s.hysteresis), "1 to " + std::to_string(o.hysteresis));
  Require(s.steps >= 0, "checkpoint: steps of the loss scale", std::to_string(s.steps), "at least 0");
  Require(s.last_overflow >= -1 && s.last_overflow < s.steps, "checkpoint: last overflow of the loss scale",
          std::to_string(s.last_overflow), "-1, or a step before this one");
  Require(s.in_a_row >= 0 && s.in_a_row <= s.steps, "checkpoint: overflows in a row", std::to_string(s.in_a_row),
          "0 to " + std::to_string(s.steps));
  state_ = s;
}

void LossScaler::Update(bool overflow) {
  LossScaleState& s = state_;
  if (overflow && state_.in_a_row == options_.max_skipped) {
    throw Error({.where = "loss scale",
                 .what = "gradients overflow in too many steps in a row",
                 .found = std::to_string(state_.in_a_row + 1) + ", at scale " + NumberText(s.scale),
                 .expected = "at most " + std::to_string(options_.max_skipped),
                 .hint = kDiverged});
  }
  if (overflow) {
    if (s.hysteresis == 1) {
      if (s.scale <= options_.min) {
        throw Error({.where = "loss scale",
                     .what = "gradients overflow at the smallest scale, so it cannot be decreased",
                     .found = NumberText(s.scale) + " at step " + std::to_string(s.steps),
                     .hint = kDiverged});
      }
      s.scale = std::max(s.scale / 2, options_.min);
    } else {
      --s.hysteresis;
    }
    s.last_overflow = s.steps;
  } else {
    const bool window = (s.steps - s.last_overflow) % options_.window == 0;
    if (window || options_.consecutive_hysteresis) s.hysteresis = options_.hysteresis;
    if (window) s.scale = std::min(s.scale * 2, options_.max);
  }
  state_.in_a_row = overflow ? state_.in_a_row + 1 : 0;
  ++s.steps;
}

}  // namespace stablelm
