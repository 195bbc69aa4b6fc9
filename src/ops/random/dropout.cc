#include "ops/random/dropout.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/random/dropout.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

#include "ops/random/philox-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR
void DropoutRows(const DropoutInput& in) { DropoutRef(in); }
#else

constexpr size_t kBlock = 64, kCounters = 16;
using DU = hn::CappedTag<uint32_t, kCounters>;
using DF = hn::RebindToFloat<DU>;

struct Kept {
  uint32_t threshold;
  float scale;
};

template <bool kAdd>
HWY_INLINE void Block(const DropoutInput& in, Kept kept, uint64_t counter, const float* x, float* y) {
  const DU du;
  const DF df;
  const auto threshold = hn::Set(du, kept.threshold);
  const auto scale = hn::Set(df, kept.scale);
  for (size_t lane = 0; lane < kCounters; lane += hn::Lanes(du)) {
    const PhiloxWords<DU> words = PhiloxBlocks(du, in.seed, in.stream, counter + lane);
    const auto put = [&](size_t at, hn::Vec<DU> word) HWY_ATTR __attribute__((always_inline)) {
      const auto keeps = hn::RebindMask(df, hn::Eq(hn::Max(word, threshold), word));  // word >= threshold
      const auto value = hn::IfThenElseZero(keeps, hn::Mul(hn::LoadU(df, x + at), scale));
      hn::StoreU(kAdd ? hn::Add(hn::LoadU(df, y + at), value) : value, df, y + at);
    };
    put(lane, words.w0);
    put(lane + kCounters, words.w1);
    put(lane + 2 * kCounters, words.w2);
    put(lane + 3 * kCounters, words.w3);
  }
}

template <bool kAdd>
void Rows(const DropoutInput& in) {
  const Kept kept = {static_cast<uint32_t>(in.rate * 0x1p32), static_cast<float>(1 / (1 - in.rate))};
  const size_t blocks = (in.width + kBlock - 1) / kBlock;
  for (size_t r = 0; r < in.rows; ++r) {
    for (size_t b = 0; b < blocks; ++b) {
      const uint64_t counter = ((in.first_row + r) * blocks + b) * kCounters;
      const size_t at = r * in.width + b * kBlock, width = std::min(kBlock, in.width - b * kBlock);
      if (width == kBlock) {
        Block<kAdd>(in, kept, counter, in.x + at, in.y + at);
        continue;
      }
      float x[kBlock] = {}, y[kBlock] = {};
      std::memcpy(x, in.x + at, width * sizeof(float));
      std::memcpy(y, in.y + at, width * sizeof(float));
      Block<kAdd>(in, kept, counter, x, y);
      std::memcpy(in.y + at, y, width * sizeof(float));
    }
  }
}

void DropoutRows(const DropoutInput& in) { in.add ? Rows<true>(in) : Rows<false>(in); }
#endif

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(DropoutRows);
}  // namespace

void Dropout(const DropoutInput& in, ExecutionContext& exec) {
  STABLELM_CHECK(in.rate >= 0 && in.rate < 1);
  exec.pool().ForRanges(in.rows, 1, [&](size_t begin, size_t end) {
    DropoutInput part = in;
    part.x += begin * in.width, part.y += begin * in.width;
    part.rows = end - begin, part.first_row += begin;
    HWY_DYNAMIC_DISPATCH(DropoutRows)(part);
  });
}

}  // namespace stablelm
#endif  // HWY_ONCE
