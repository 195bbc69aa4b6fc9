// Elapsed time in seconds, by the steady clock.
#pragma once

#include <chrono>

namespace stablelm {

using Clock = std::chrono::steady_clock;

inline double SecondsBetween(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double>(end - start).count();
}
inline double SecondsSince(Clock::time_point start) { return SecondsBetween(start, Clock::now()); }

// Adds its own lifetime to `sum`.
class Stopwatch {
 public:
  explicit Stopwatch(double& sum) : sum_(sum) {}
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() { sum_ += SecondsSince(start_); }

 private:
  double& sum_;
  Clock::time_point start_ = Clock::now();
};

}  // namespace stablelm
