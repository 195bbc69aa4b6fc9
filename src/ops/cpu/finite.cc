#include "ops/finite.h"

#include <atomic>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/finite.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

size_t FirstNonFiniteIn(const float* values, size_t n) {
  const hn::ScalableTag<float> d;
  const hn::Repartition<uint32_t, decltype(d)> du;
  const size_t lanes = hn::Lanes(d);
  const auto exponent = hn::Set(du, 0x7F800000u);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::BitCast(du, hn::LoadU(d, values + i));
    if (!hn::AllFalse(du, hn::Eq(hn::And(bits, exponent), exponent))) break;
  }
  while (i < n && std::isfinite(values[i])) ++i;
  return i;
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(FirstNonFiniteIn);
}

size_t FirstNonFinite(const float* values, size_t n) { return HWY_DYNAMIC_DISPATCH(FirstNonFiniteIn)(values, n); }

bool AllFinite(const float* values, size_t n, ExecutionContext& exec) {
  std::atomic<bool> finite{true};
  exec.pool().ForRanges(n, 16384, [&](size_t begin, size_t end) {
    if (FirstNonFinite(values + begin, end - begin) < end - begin) finite.store(false, std::memory_order_relaxed);
  });
  return finite.load();
}

}  // namespace stablelm
#endif  // HWY_ONCE
