// Watches a run for divergence: a loss that jumps, and values that are not finite. Decides what a step does about it.
//
// Spike: with m and s the mean and the standard deviation of the losses of the last kSpikeWindow updates (fewer at the
// start, at least kSpikeLeast), a step whose loss is above m + spike_z * max(s, kLeastDeviation) is a spike. The loss
// is known before the update, so:
//   stop   the run ends with an error; the step's gradient is not applied
//   skip   the step's gradient is not applied, its packs are not used again, and its loss does not enter the window
//   lower  the rate of this step and of all later ones is halved, and the window starts anew: there is no further spike
//          until kSpikeLeast updates at the lower rate
// Not finite: no update is made, whatever is chosen. fp16 handles overflow by the loss scale (train/loss_scale.h);
// elsewhere:
//   stop   the run ends with the error of the training step
//   skip   the run goes on with the next step
// However they come about, more than max_skipped skipped steps in a row end the run.
//
// Decides by the losses alone: a run that is resumed decides as the one that was not interrupted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "train/loss_scale.h"
#include "train/training_watch.h"

namespace stablelm {

enum class OnSpike : uint8_t { kStop, kSkip, kLower };
enum class OnNotFinite : uint8_t { kStop, kSkip };
constexpr std::string_view NameOf(OnSpike choice) {
  return choice == OnSpike::kStop ? "stop" : choice == OnSpike::kSkip ? "skip" : "lower";
}
constexpr std::string_view NameOf(OnNotFinite choice) { return choice == OnNotFinite::kStop ? "stop" : "skip"; }
inline constexpr OnSpike kOnSpikes[] = {OnSpike::kStop, OnSpike::kSkip, OnSpike::kLower};
inline constexpr OnNotFinite kOnNotFinites[] = {OnNotFinite::kStop, OnNotFinite::kSkip};

inline constexpr size_t kSpikeWindow = 100;
inline constexpr size_t kSpikeLeast = 20;
// Nats. Losses that are nearly equal, as those of data that is known by heart, would make any new text a spike.
inline constexpr double kLeastDeviation = 0.05;

struct GuardOptions {
  OnSpike on_spike = OnSpike::kStop;
  // Standard deviations. Losses of steps with few tokens have heavy tails, and 6 of their deviations do happen; a run
  // that diverges goes far beyond 10.
  double spike_z = 10;
  OnNotFinite on_not_finite = OnNotFinite::kStop;
  int64_t max_skipped = kMaxSkippedInARow;
};

// For one thread.
class DivergenceGuard : public TrainingWatch {
 public:
  explicit DivergenceGuard(const GuardOptions& options) : options_(options) {}

  std::string Name() const override { return "guard"; }
  bool AllowsUpdate(const StepLog& step) override;
  bool Forgives(const StepLog& step, const Error& error) override;
  // 1, halved by each `lower`.
  double RateFactor() const override { return rate_factor_; }
  // Logs what was found: {"event": "guard", "found": "spike" | "not finite", "action": ...}. Throws Error to stop.
  void AfterStep(const Moment& moment) override;

  // The losses of the window, the factor, the skipped steps in a row.
  JsonValue State() const override;
  void Restore(const nlohmann::json& state, int64_t step) override;

 private:
  const GuardOptions options_;
  std::vector<double> losses_;  // of the last updates, oldest first; at most kSpikeWindow
  double rate_factor_ = 1;
  int64_t skipped_ = 0;  // in a row
  struct Spike {
    double mean = 0, deviation = 0, z = 0;
    size_t window = 0;
  };
  std::optional<Spike> spike_;  // in the step that is being made
};

}  // namespace stablelm
