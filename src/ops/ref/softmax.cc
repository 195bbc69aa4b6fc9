#include "ops/scores/softmax.h"

#include <algorithm>
#include <cmath>

namespace stablelm {

double LogSumExpRef(const float* x, size_t n) {
  const double max = static_cast<double>(*std::max_element(x, x + n));
  if (std::isinf(max)) return max;
  double total = 0;
  for (size_t i = 0; i < n; ++i) total += std::exp(static_cast<double>(x[i]) - max);
  return max + std::log(total);
}

}  // namespace stablelm
