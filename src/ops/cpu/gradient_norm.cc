#include "ops/gradient_norm.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "ops/cpu/unroll.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/gradient_norm.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The square of an fp32 value is exact in fp64, so a fused multiply-add gives the bits of a product and a sum.
double SumOfChunk(const float* x, size_t n) {
  const hn::CappedTag<double, kNormChains> d;
  const hn::Rebind<float, decltype(d)> df;
  constexpr size_t kLanes = hn::MaxLanes(d), kVectors = kNormChains / kLanes;
  hn::Vec<decltype(d)> chains[kVectors];
  STABLELM_UNROLL
  for (size_t k = 0; k < kVectors; ++k) chains[k] = hn::Zero(d);
  const auto add = [&](const float* from) HWY_ATTR {
    STABLELM_UNROLL
    for (size_t k = 0; k < kVectors; ++k) {
      const auto v = hn::PromoteTo(d, hn::LoadU(df, from + k * kLanes));
      chains[k] = hn::MulAdd(v, v, chains[k]);
    }
  };
  size_t i = 0;
  for (; i + kNormChains <= n; i += kNormChains) add(x + i);
  if (i < n) {  // zeros change no chain: none is -0
    float rest[kNormChains] = {};
    std::memcpy(rest, x + i, (n - i) * sizeof(float));
    add(rest);
  }
  HWY_ALIGN double sums[kNormChains];
  STABLELM_UNROLL
  for (size_t k = 0; k < kVectors; ++k) hn::Store(chains[k], d, sums + k * kLanes);
  for (size_t half = kNormChains / 2; half > 0; half /= 2) {
    for (size_t c = 0; c < half; ++c) sums[c] += sums[c + half];
  }
  return sums[0];
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(SumOfChunk);
}

void SumsOfSquares(const float* x, size_t n, std::span<double> sums, ExecutionContext& exec) {
  STABLELM_CHECK(sums.size() == (n + kNormChunk - 1) / kNormChunk);
  exec.pool().ForSteps(sums.size(), 1, [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; ++i) {
      const size_t first = i * kNormChunk;
      sums[i] = HWY_DYNAMIC_DISPATCH(SumOfChunk)(x + first, std::min(kNormChunk, n - first));
    }
  });
}

double AddChunks(std::span<const double> sums) {
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace stablelm
#endif  // HWY_ONCE
