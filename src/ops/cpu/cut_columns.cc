#include "ops/cpu/cut_columns.h"

#include <bit>
#include <cstdint>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/cut_columns.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR
// 4 columns of 4 rows.
HWY_INLINE void CutFour(const float* const* rows, size_t column, size_t stride, float* HWY_RESTRICT to) {
  const hn::Full128<float> d;
  const hn::Full128<uint64_t> d64;
  const auto a = hn::LoadU(d, rows[0] + column), b = hn::LoadU(d, rows[1] + column);
  const auto c = hn::LoadU(d, rows[2] + column), e = hn::LoadU(d, rows[3] + column);
  const auto ab_low = hn::BitCast(d64, hn::InterleaveLower(d, a, b));
  const auto ab_high = hn::BitCast(d64, hn::InterleaveUpper(d, a, b));
  const auto ce_low = hn::BitCast(d64, hn::InterleaveLower(d, c, e));
  const auto ce_high = hn::BitCast(d64, hn::InterleaveUpper(d, c, e));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, ab_low, ce_low)), d, to);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, ab_low, ce_low)), d, to + stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, ab_high, ce_high)), d, to + 2 * stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, ab_high, ce_high)), d, to + 3 * stride);
}
#endif

void Cut(const float* const* rows, size_t count, size_t columns, size_t stride, float* HWY_RESTRICT to) {
  size_t c = 0;
#if HWY_TARGET != HWY_SCALAR
  const size_t whole_rows = count / 4 * 4;
  for (; c + 4 <= columns; c += 4) {
    for (size_t i = 0; i < whole_rows; i += 4) CutFour(rows + i, c, stride, to + c * stride + i);
  }
  for (size_t column = 0; column < c; ++column) {
    for (size_t i = whole_rows; i < count; ++i) to[column * stride + i] = rows[i][column];
  }
#endif
  for (; c < columns; ++c) {
    for (size_t i = 0; i < count; ++i) to[c * stride + i] = rows[i][c];
  }
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(Cut);
}

void CutColumns(const float* const* rows, size_t count, size_t columns, size_t stride, float* to) {
  HWY_DYNAMIC_DISPATCH(Cut)(rows, count, columns, stride, to);
}

void JoinRows(const float* low, const float* high, size_t columns, float* words) {
  for (size_t c = 0; c < columns; ++c) {
    const uint32_t upper = high ? std::bit_cast<uint32_t>(high[c]) & 0xFFFF0000u : 0;
    words[c] = std::bit_cast<float>(std::bit_cast<uint32_t>(low[c]) >> 16 | upper);
  }
}

}  // namespace stablelm
#endif  // HWY_ONCE
