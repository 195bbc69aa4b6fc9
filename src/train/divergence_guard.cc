#include "train/divergence_guard.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/strict_json.h"
#include "base/system.h"

namespace stablelm {
bool DivergenceGuard::AllowsUpdate(const StepLog& step) {
  spike_.reset();
  if (losses_.size() >= kSpikeLeast) {
    const auto n = static_cast<double>(losses_.size());
    double mean = 0, squares = 0;
    for (const double loss : losses_) mean += loss / n;
    for (const double loss : losses_) squares += (loss - mean) * (loss - mean) / n;
    const double deviation = std::max(std::sqrt(squares), kLeastDeviation);
    if (step.loss > mean + options_.spike_z * deviation) {
      spike_ = {.mean = mean, .deviation = deviation, .z = (step.loss - mean) / deviation, .window = losses_.size()};
      if (options_.on_spike != OnSpike::kLower) return false;
      rate_factor_ *= 0.5;
      losses_.clear();
    }
  }
  if (losses_.size() == kSpikeWindow) losses_.erase(losses_.begin());
  losses_.push_back(step.loss);
  return true;
}

bool DivergenceGuard::Forgives(const StepLog& /*step*/, const Error& /*error*/) {
  spike_.reset();
  return options_.on_not_finite == OnNotFinite::kSkip;
}

void DivergenceGuard::AfterStep(const Moment& moment) {
  const StepLog& step = moment.step;
  if (!step.overflow.empty()) {
    moment.log({{"event", "guard"}, {"found", "not finite"}, {"action", "skip"}, {"place", step.overflow}});
  } else if (spike_) {
    moment.log({{"event", "guard"},
                {"found", "spike"},
                {"action", NameOf(options_.on_spike)},
                {"loss", step.loss},
                {"mean", spike_->mean},
                {"deviation", spike_->deviation},
                {"z", spike_->z},
                {"rate_factor", rate_factor_}});
  }
  const std::optional<Spike> spike = std::exchange(spike_, std::nullopt);
  if (spike && options_.on_spike == OnSpike::kStop) {
    throw Error({.where = "training step " + std::to_string(step.step),
                 .what = "the loss jumped, so the step was not applied",
                 .found = Rounded(step.loss, 4) + ", " + Rounded(spike->z, 1) +
                          " deviations above the mean of the last " + std::to_string(spike->window) + " steps, " +
                          Rounded(spike->mean, 4),
                 .expected = "at most " + Rounded(options_.spike_z, 1) + " (`guard.spike_z`)",
                 .hint = "resume with `guard.on_spike=skip` or `guard.on_spike=lower`, or from an earlier checkpoint "
                         "with a lower rate"});
  }
  skipped_ = step.skipped ? skipped_ + 1 : 0;
  if (skipped_ <= options_.max_skipped) return;
  throw Error({.where = "training step " + std::to_string(step.step),
               .what = "too many steps in a row were skipped" +
                       (step.overflow.empty() ? std::string() : "; the last one is not finite in " + step.overflow),
               .found = std::to_string(skipped_),
               .expected = "at most " + std::to_string(options_.max_skipped) + " (`guard.max_skipped`)",
               .hint = "the run has diverged: go back to an earlier checkpoint with a lower rate or a longer warm-up"});
}

JsonValue DivergenceGuard::State() const {
  return {{"losses", losses_}, {"rate_factor", rate_factor_}, {"skipped", skipped_}};
}

void DivergenceGuard::Restore(const nlohmann::json& state, int64_t step) {
  if (state.is_null()) return;
  const auto fail = [&](const std::string& key, const std::string& expected) {
    throw Error({.where = "checkpoint of step " + std::to_string(step) + ": state of the guard: \"" + key + "\"",
                 .what = "damaged",
                 .found = state.is_object() && state.contains(key) ? ShownJson(state[key]) : "nothing",
                 .expected = expected,
                 .hint = "resume from an earlier checkpoint"});
  };
  const auto number = [](const nlohmann::json& value) {
    return value.is_number() && std::isfinite(value.get<double>());
  };
  if (!state.is_object() || !state.contains("losses") || !state["losses"].is_array() ||
      state["losses"].size() > kSpikeWindow || !std::ranges::all_of(state["losses"], number)) {
    fail("losses", "a list of at most " + std::to_string(kSpikeWindow) + " numbers");
  }
  if (!state.contains("rate_factor") || !number(state["rate_factor"]) || state["rate_factor"].get<double>() <= 0 ||
      state["rate_factor"].get<double>() > 1) {
    fail("rate_factor", "a number above 0, at most 1");
  }
  if (!state.contains("skipped") || !state["skipped"].is_number_unsigned()) fail("skipped", "a whole number");
  losses_ = state["losses"].get<std::vector<double>>();
  rate_factor_ = state["rate_factor"].get<double>();
  skipped_ = state["skipped"].get<int64_t>();
}

}  // namespace stablelm
