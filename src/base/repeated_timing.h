// Timing of repeated work: after a warm-up several samples, of which the median counts and the spread is shown.
#pragma once

#include <time.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace stablelm {

struct Samples {
  double median = 0, min = 0, max = 0;
};

// At least one value.
inline Samples Summarize(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  const double median = n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
  return {median, values.front(), values.back()};
}

// Measurements call it before each sample; what it throws ends them.
using BeforeSample = std::function<void()>;

// Processor time of this process: for work of one thread, which other programs disturb less by this clock.
inline double ProcessorSeconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

}  // namespace stablelm
