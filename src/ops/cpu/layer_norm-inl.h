// Mean and spread of a row, as the layer norm and its backward pass use them. Included once per SIMD target.
#if defined(STABLELM_OPS_LAYER_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STABLELM_OPS_LAYER_NORM_INL_H_
#undef STABLELM_OPS_LAYER_NORM_INL_H_
#else
#define STABLELM_OPS_LAYER_NORM_INL_H_
#endif

#include <hwy/highway.h>

#include <cmath>
#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct RowMoments {
  float mean, scale;  // scale = 1 / sqrt(variance + eps)
};

HWY_INLINE RowMoments MomentsOf(const float* x, size_t n, double eps) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  const size_t whole = n / lanes * lanes;
  auto sum = hn::Zero(d);
  for (size_t i = 0; i < whole; i += lanes) sum = hn::Add(sum, hn::LoadU(d, x + i));
  double total = static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
  for (size_t i = whole; i < n; ++i) total += static_cast<double>(x[i]);
  const float mean = static_cast<float>(total / static_cast<double>(n));

  const auto mean_v = hn::Set(d, mean);
  auto squares = hn::Zero(d);
  for (size_t i = 0; i < whole; i += lanes) {
    const auto c = hn::Sub(hn::LoadU(d, x + i), mean_v);
    squares = hn::MulAdd(c, c, squares);
  }
  total = static_cast<double>(hn::GetLane(hn::SumOfLanes(d, squares)));
  for (size_t i = whole; i < n; ++i) {
    const double c = static_cast<double>(x[i] - mean);
    total += c * c;
  }
  return {mean, static_cast<float>(1.0 / std::sqrt(total / static_cast<double>(n) + eps))};
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
