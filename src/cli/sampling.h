// Timing of a piece of work: warm up, several samples, median and spread.
#pragma once

#include <algorithm>
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

}  // namespace stablelm
