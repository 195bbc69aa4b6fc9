// Timing of a piece of work: warm up, several samples, median and spread.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace stablelm {

struct Samples {
  double median = 0, min = 0, max = 0;
};

inline Samples Summarize(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  const double median = n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
  return {median, values.front(), values.back()};
}

// Processor time of this process: for work of one thread, which other programs disturb less by this clock.
inline double ProcessorSeconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// "(1.5 to 2.5)"
inline std::string Range(const Samples& s) {
  char text[64];
  std::snprintf(text, sizeof text, "(%.1f to %.1f)", s.min, s.max);
  return text;
}

}  // namespace stablelm
