#include "ops/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "ops/finite.h"
#include "ops/scores/softmax.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/cross_entropy.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// z = scale exp(z - log_sum), log_sum in two parts: its rounding to fp32 would move all probabilities by eps |log_sum|.
void Probabilities(float* z, size_t n, double log_sum, float scale) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  const float rounded = static_cast<float>(log_sum);
  const auto high = hn::Set(d, rounded), low = hn::Set(d, static_cast<float>(log_sum - static_cast<double>(rounded)));
  const auto scale_v = hn::Set(d, scale);
  const auto of = [&](hn::Vec<decltype(d)> v)
                      HWY_ATTR { return hn::Mul(scale_v, hn::Exp(d, hn::Sub(hn::Sub(v, high), low))); };
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(of(hn::LoadU(d, z + i)), d, z + i);
  if (i < n) {  // the same vector arithmetic for the rest
    HWY_ALIGN float rest[HWY_MAX_BYTES / sizeof(float)] = {};
    std::memcpy(rest, z + i, (n - i) * sizeof(float));
    hn::Store(of(hn::Load(d, rest)), d, rest);
    std::memcpy(z + i, rest, (n - i) * sizeof(float));
  }
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(Probabilities);

// NaN when a logit is not finite: the largest of a row with NaN is whatever the machine's maximum makes of it.
double LogSum(const float* z, size_t n) {
  return FirstNonFinite(z, n) < n ? std::numeric_limits<double>::quiet_NaN() : LogSumExp(z, n);
}

template <typename F>
void ForRows(const CrossEntropyInput& in, ExecutionContext& exec, const F& f) {
  const size_t n = static_cast<size_t>(in.vocab_size);
  exec.pool().ForSteps(static_cast<size_t>(in.rows), 1, [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; ++r) {
      const int32_t target = in.targets[r];
      STABLELM_CHECK(target >= 0 && static_cast<size_t>(target) < n);
      float* const z = in.logits + r * n;
      const double log_sum = LogSum(z, n);
      in.losses[r] = log_sum - static_cast<double>(z[target]);
      f(z, n, static_cast<size_t>(target), log_sum);
    }
  });
}

}  // namespace

void CrossEntropy(const CrossEntropyInput& in, ExecutionContext& exec) {
  const float scale = static_cast<float>(in.scale);
  ForRows(in, exec, [&](float* z, size_t n, size_t target, double log_sum) {
    if (!std::isfinite(log_sum)) {
      std::fill_n(z, n, std::numeric_limits<float>::quiet_NaN());
      return;
    }
    // p - 1 in fp64, where it does not cancel when p is near 1.
    const double of_target = in.scale * std::expm1(static_cast<double>(z[target]) - log_sum);
    HWY_DYNAMIC_DISPATCH(Probabilities)(z, n, log_sum, scale);
    z[target] = static_cast<float>(of_target);
  });
}

void CrossEntropyLosses(const CrossEntropyInput& in, ExecutionContext& exec) {
  ForRows(in, exec, [](const float*, size_t, size_t, double) {});
}

}  // namespace stablelm
#endif  // HWY_ONCE
