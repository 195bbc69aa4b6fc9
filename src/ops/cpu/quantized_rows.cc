#include "ops/quantized_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/quantized_rows.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// n is a multiple of 32.
void QuantizeBlock(const float* HWY_RESTRICT x, size_t n, int8_t* HWY_RESTRICT q, float* scale) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<int16_t, decltype(d)> d16;
  const hn::Rebind<int8_t, decltype(d)> d8;
  const size_t lanes = hn::Lanes(d);
  auto largest = hn::Zero(d), poison = hn::Zero(d);
  for (size_t i = 0; i < n; i += lanes) {
    const auto v = hn::LoadU(d, x + i);
    largest = hn::Max(largest, hn::Abs(v));
    poison = hn::MulAdd(v, hn::Zero(d), poison);  // NaN if a value is not finite
  }
  const float bad = hn::GetLane(hn::SumOfLanes(d, poison));
  const float a = hn::GetLane(hn::MaxOfLanes(d, largest));
  if (std::isnan(bad) || a < kSmallestBlock) {
    *scale = std::isnan(bad) ? std::numeric_limits<float>::quiet_NaN() : 0.0f;
    std::memset(q, 0, n);
    return;
  }
  *scale = a / 127.0f;
  const auto inverse = hn::Set(d, 127.0f / a);
  for (size_t i = 0; i < n; i += lanes) {
    const auto scaled = hn::Mul(hn::LoadU(d, x + i), inverse);
    hn::StoreU(hn::DemoteTo(d8, hn::DemoteTo(d16, hn::NearestInt(scaled))), d8, q + i);
  }
}

// Sums of 16 quants each.
void SumQuants(const int8_t* HWY_RESTRICT q, size_t sums, int32_t* HWY_RESTRICT sum) {
#if HWY_TARGET == HWY_SCALAR
  for (size_t s = 0; s < sums; ++s) {
    sum[s] = 0;
    for (size_t i = 0; i < 16; ++i) sum[s] += q[16 * s + i];
  }
#else
  const hn::Full128<uint8_t> d8;
  const auto flip = hn::Set(d8, 0x80);  // unsigned q + 128
  for (size_t s = 0; s < sums; ++s) {
    const auto bytes = hn::Xor(hn::LoadU(d8, reinterpret_cast<const uint8_t*>(q + 16 * s)), flip);
    const auto halves = hn::SumsOf8(bytes);
    sum[s] = static_cast<int32_t>(hn::ExtractLane(halves, 0) + hn::ExtractLane(halves, 1)) - 16 * 128;
  }
#endif
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(QuantizeBlock);
HWY_EXPORT(SumQuants);

// Computes the offsets of a block from its `sums` of 16 quants each.
void SetOffsets(DType weights, const int32_t* sums, int32_t* offsets) {
  switch (weights) {
    case DType::kQ8_0:
      *offsets = -128 * (sums[0] + sums[1]);
      return;
    case DType::kQ4_0:
      *offsets = -8 * (sums[0] + sums[1]);
      return;
    case DType::kQ6_K:
      for (size_t i = 0; i < 16; ++i) offsets[i] = -32 * sums[i];
      for (size_t i = 0; i < 16; ++i) {
        const int16_t narrow = static_cast<int16_t>(sums[i]);
        std::memcpy(reinterpret_cast<std::byte*>(offsets + 16) + 2 * i, &narrow, 2);
      }
      return;
    case DType::kQ4_K:
    case DType::kQ5_K: {
      int8_t bytes[16];
      for (size_t j = 0; j < 8; ++j) {
        const int32_t sum = sums[2 * j] + sums[2 * j + 1];
        const int32_t high = (sum + 64) >> 7;  // rounds down, also below zero
        bytes[j] = static_cast<int8_t>(high);
        bytes[8 + j] = static_cast<int8_t>(sum - 128 * high);
      }
      std::memcpy(offsets, bytes, sizeof bytes);
      return;
    }
    default:
      STABLELM_CHECK(false);
  }
}

constexpr size_t RoundUp(size_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

size_t QuantizedRows::Bytes(size_t rows, size_t k, DType weights) {
  const size_t blocks = rows * k / static_cast<size_t>(BlockElements(weights));
  return RoundUp(rows * k) + RoundUp(blocks * sizeof(float)) + blocks * OffsetWords(weights) * sizeof(int32_t);
}

QuantizedRows QuantizedRows::In(void* memory, size_t rows, size_t k, DType weights) {
  const size_t block = static_cast<size_t>(BlockElements(weights));
  STABLELM_CHECK(k % block == 0 && block % 32 == 0);
  auto* const bytes = static_cast<std::byte*>(memory);
  const size_t scales = RoundUp(rows * k);
  const size_t offsets = scales + RoundUp(rows * (k / block) * sizeof(float));
  return {.q = reinterpret_cast<int8_t*>(bytes),
          .scale = reinterpret_cast<float*>(bytes + scales),
          .offsets = reinterpret_cast<int32_t*>(bytes + offsets),
          .weights = weights,
          .rows = rows,
          .k = k,
          .block = block};
}

void QuantizedRows::Set(size_t m, const float* x) const {
  for (size_t b = 0; b < k / block; ++b) {
    const size_t at = b * rows + m;
    int32_t sums[16];
    HWY_DYNAMIC_DISPATCH(QuantizeBlock)(x + b * block, block, q + at * block, scale + at);
    HWY_DYNAMIC_DISPATCH(SumQuants)(q + at * block, block / 16, sums);
    SetOffsets(weights, sums, offsets + at * OffsetWords(weights));
  }
}

}  // namespace stablelm
#endif  // HWY_ONCE
