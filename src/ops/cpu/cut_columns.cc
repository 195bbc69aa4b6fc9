#include "ops/cpu/cut_columns.h"

#include <bit>
#include <cstdint>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/cut_columns.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

#include "ops/cpu/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {

void Cut(const float* const* rows, size_t count, size_t columns, size_t stride, float* HWY_RESTRICT to) {
  size_t c = 0;
#if HWY_TARGET != HWY_SCALAR
  const size_t whole_rows = count / 4 * 4;
  for (; c + 4 <= columns; c += 4) {
    for (size_t i = 0; i < whole_rows; i += 4) {
      Transpose4(rows[i] + c, rows[i + 1] + c, rows[i + 2] + c, rows[i + 3] + c, to + c * stride + i, stride);
    }
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
