#include "ops/quantized_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/quantized_rows.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// n is a multiple of 32.
void QuantizeBlock(const float* HWY_RESTRICT x, size_t n, int8_t* HWY_RESTRICT q, float* scale, int32_t* sums) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<int16_t, decltype(d)> d16;
  const hn::Rebind<int8_t, decltype(d)> d8;
  const size_t lanes = hn::Lanes(d);
  auto largest = hn::Zero(d), poison = hn::Zero(d);
  for (size_t i = 0; i < n; i += lanes) {
    const auto v = hn::LoadU(d, x + i);
    largest = hn::Max(largest, hn::Abs(v));
    poison = hn::MulAdd(v, hn::Zero(d), poison);  // NaN once a value is not finite
  }
  const float bad = hn::GetLane(hn::SumOfLanes(d, poison));
  const float a = hn::GetLane(hn::MaxOfLanes(d, largest));
  if (std::isnan(bad) || a < kSmallestBlock) {
    *scale = std::isnan(bad) ? std::numeric_limits<float>::quiet_NaN() : 0.0f;
    std::memset(q, 0, n);
    std::fill_n(sums, n / kSumElements, 0);
    return;
  }
  *scale = a / 127.0f;
  const auto inverse = hn::Set(d, 127.0f / a);
  for (size_t i = 0; i < n; i += lanes) {
    const auto scaled = hn::Mul(hn::LoadU(d, x + i), inverse);
    hn::StoreU(hn::DemoteTo(d8, hn::DemoteTo(d16, hn::NearestInt(scaled))), d8, q + i);
  }
  for (size_t i = 0; i < n; i += kSumElements) {
    int32_t sum = 0;
    for (size_t j = 0; j < kSumElements; ++j) sum += q[i + j];
    sums[i / kSumElements] = sum;
  }
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(QuantizeBlock);
}  // namespace

QuantizedRows QuantizedRows::In(void* memory, size_t rows, size_t k, size_t block) {
  STABLELM_CHECK(k % block == 0 && block % 32 == 0);
  auto* const bytes = static_cast<std::byte*>(memory);
  const size_t scales = (rows * k + 63) / 64 * 64;
  const size_t sums = scales + rows * (k / block) * sizeof(float);
  return {.q = reinterpret_cast<int8_t*>(bytes),
          .scale = reinterpret_cast<float*>(bytes + scales),
          .sums = reinterpret_cast<int32_t*>(bytes + sums),
          .k = k,
          .block = block};
}

void QuantizedRows::Set(size_t m, const float* x) const {
  const size_t blocks = k / block;
  for (size_t b = 0; b < blocks; ++b) {
    HWY_DYNAMIC_DISPATCH(QuantizeBlock)
    (x + b * block, block, q + m * k + b * block, scale + m * blocks + b, sums + (m * k + b * block) / kSumElements);
  }
}

void QuantizeBlockRef(const float* x, size_t n, int8_t* q, float* scale) {
  float a = 0;
  bool finite = true;
  for (size_t i = 0; i < n; ++i) {
    finite = finite && std::isfinite(x[i]);
    a = std::max(a, std::abs(x[i]));
  }
  const bool zero = !finite || a < kSmallestBlock;
  *scale = !finite ? std::numeric_limits<float>::quiet_NaN() : zero ? 0.0f : a / 127.0f;
  const float inverse = 127.0f / a;
  for (size_t i = 0; i < n; ++i) q[i] = zero ? int8_t{0} : static_cast<int8_t>(std::nearbyint(x[i] * inverse));
}

}  // namespace stablelm
#endif  // HWY_ONCE
