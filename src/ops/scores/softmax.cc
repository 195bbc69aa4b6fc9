#include "ops/scores/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/scores/softmax.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

double LogSumExpOf(const float* x, size_t n) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  const size_t whole = n / lanes * lanes;
  float max = -std::numeric_limits<float>::infinity();
  if (whole > 0) {
    auto max_v = hn::LoadU(d, x);
    for (size_t i = lanes; i < whole; i += lanes) max_v = hn::Max(max_v, hn::LoadU(d, x + i));
    max = hn::GetLane(hn::MaxOfLanes(d, max_v));
  }
  for (size_t i = whole; i < n; ++i) max = std::max(max, x[i]);
  if (std::isinf(max)) return static_cast<double>(max);
  const auto max_all = hn::Set(d, max);
  double total = 0;
  // Partial sums of 64 vectors keep the rounding error at that of a few additions.
  for (size_t block = 0; block < whole; block += 64 * lanes) {
    auto sum = hn::Zero(d);
    for (size_t i = block; i < std::min(whole, block + 64 * lanes); i += lanes) {
      sum = hn::Add(sum, hn::Exp(d, hn::Sub(hn::LoadU(d, x + i), max_all)));
    }
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
  }
  for (size_t i = whole; i < n; ++i) total += std::exp(static_cast<double>(x[i] - max));
  return static_cast<double>(max) + std::log(total);
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(LogSumExpOf);
}

double LogSumExp(const float* x, size_t n) { return HWY_DYNAMIC_DISPATCH(LogSumExpOf)(x, n); }

}  // namespace stablelm
#endif  // HWY_ONCE
