// Adds up the time that the parts of a training step take, for measurements. Without one, nothing is timed.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>

namespace stablelm {

enum class StepPart : size_t {
  kForward,          // of the layers, attention included
  kLoss,             // final norm, output matrix and cross-entropy, both ways
  kInputGradients,   // dx = dy W of the layers
  kWeightGradients,  // dW = dyᵀ x and biases of the layers
  kAttentionBackward,
  kUpdate,  // norm of the gradient, clipping, AdamW
  kCount,
};
inline constexpr std::array<const char*, static_cast<size_t>(StepPart::kCount)> kStepPartNames = {
    "forward", "loss", "input gradients", "weight gradients", "attention backward", "update"};

class StepTimer {
 public:
  // Times its own life; `timer` may be null.
  class Span {
   public:
    Span(StepTimer* timer, StepPart part) : timer_(timer), part_(part) {
      if (timer_) start_ = std::chrono::steady_clock::now();
    }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;
    ~Span() {
      if (!timer_) return;
      timer_->seconds_[static_cast<size_t>(part_)] +=
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

   private:
    StepTimer* const timer_;
    const StepPart part_;
    std::chrono::steady_clock::time_point start_;
  };

  double seconds(StepPart part) const { return seconds_[static_cast<size_t>(part)]; }

 private:
  std::array<double, static_cast<size_t>(StepPart::kCount)> seconds_ = {};
};

}  // namespace stablelm
