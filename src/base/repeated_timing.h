// Repeated timing: a warm-up, then several samples. Reports the median and the spread.
#pragma once

#include <time.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace stablelm {

struct Samples {
  double median = 0, min = 0, max = 0;
};

// `values` must not be empty.
inline Samples Summarize(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  const double median = n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
  return {median, values.front(), values.back()};
}

// Called before each sample. An exception from it ends the measurement.
using BeforeSample = std::function<void()>;

// CPU time of this process. For single-threaded work: other programs disturb it less than wall-clock time.
inline double ProcessorSeconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

}  // namespace stablelm
