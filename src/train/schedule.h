// The learning rate of each step: a warm-up, then one of four shapes.
//
// Steps are counted as GPT-NeoX counts them (megatron/learning_rates.py): n is the number of optimizer steps that
// succeeded before this one, so the first two, n = 0 and n = 1, both have rate / W. With W steps of warm-up of N steps
// in all, u = (n - W) / (N - W) and min = min_ratio * rate:
//   n <= W:   rate max(1, n) / W                       (W = 0: no warm-up)
//   constant: rate, at any later n
//   linear:   max(min, rate (1 - u)), and min for n > N
//   cosine:   min + (rate - min) / 2 (1 + cos(pi u)), and min for n > N
//   wsd:      rate until D steps before the end, then in a line to min at N, and min for n > N
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

enum class ScheduleShape : uint8_t { kConstant, kLinear, kCosine, kWsd };

// "constant", "linear", "cosine", "wsd".
std::vector<std::string> ScheduleNames();
std::string_view NameOf(ScheduleShape shape);
// Throws Error for another name.
ScheduleShape ParseScheduleShape(std::string_view name);

struct ScheduleOptions {
  ScheduleShape shape = ScheduleShape::kCosine;
  double rate = 0;          // the largest
  double min_ratio = 0.1;   // of the rate, at the end
  int64_t warmup = 0;       // W
  int64_t steps = 0;        // N
  int64_t decay_steps = 0;  // D, of wsd alone
};

class Schedule {
 public:
  // Throws Error for a rate that is not positive, a ratio outside [0, 1], no steps, a warm-up longer than the steps,
  // or, with wsd, a decay that is not within the steps after the warm-up.
  explicit Schedule(const ScheduleOptions& options);

  double RateAt(int64_t n) const;
  const ScheduleOptions& options() const { return options_; }

 private:
  const ScheduleOptions options_;
};

}  // namespace stablelm
