// Dynamic scale of the loss for fp16, which keeps small gradients in the range of the type (DeepSpeed's
// DynamicLossScaler, state for state).
//
// The loss is multiplied by the scale before the backward pass, and the gradient divided by it after. When a gradient
// overflows, the step is skipped and the scale halved, unless the hysteresis allows more overflows at this scale; after
// a window without overflow it doubles. Unlike DeepSpeed's, a run of overflows has an end at scales of any size.
#pragma once

#include <cstdint>

namespace stablelm {

// Skipped steps in a row after which a run has diverged: more than the card's hysteresis of 20 and the halvings from
// 2^16 to 1 take together.
inline constexpr int64_t kMaxSkippedInARow = 40;

struct LossScaleOptions {
  double initial = 4096;
  double min = 1;
  double max = 16777216;                // 2^24; DeepSpeed has no limit
  int64_t window = 1000;                // steps without overflow until the scale doubles
  int64_t hysteresis = 2;               // overflows until the scale is halved; 1: at the first
  bool consecutive_hysteresis = false;  // a step without overflow restores the hysteresis; else only a window does
  int64_t max_skipped = kMaxSkippedInARow;
};

// All that a checkpoint keeps.
struct LossScaleState {
  double scale = 0;
  int64_t hysteresis = 0;      // overflows left at this scale, this one included: 1: the next one halves it
  int64_t last_overflow = -1;  // its step
  int64_t steps = 0;           // Update's calls
  int64_t in_a_row = 0;        // overflows since the last step without one

  bool operator==(const LossScaleState&) const = default;
};

class LossScaler {
 public:
  // Throws Error for an option without sense: a scale or a count that is not positive, or initial outside [min, max].
  explicit LossScaler(const LossScaleOptions& options);

  double scale() const { return state_.scale; }
  const LossScaleState& state() const { return state_; }
  // Continues from a checkpoint. Throws Error when no scaler with these options can be in this state.
  void Restore(const LossScaleState& state);

  // Once per step, whether it was skipped for overflow or not. Throws Error, and changes nothing, when a gradient
  // overflows at the smallest scale, or in more than max_skipped steps in a row.
  void Update(bool overflow);

 private:
  const LossScaleOptions options_;
  LossScaleState state_;
};

}  // namespace stablelm
