// Transposes blocks of packed weights. Included once per SIMD target.
#if defined(STABLELM_OPS_TRANSPOSE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STABLELM_OPS_TRANSPOSE_INL_H_
#undef STABLELM_OPS_TRANSPOSE_INL_H_
#else
#define STABLELM_OPS_TRANSPOSE_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "ops/cpu/load_float-inl.h"
#include "ops/packed_matrix.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR
// 4 x 4 elements of 32 bits: the rows at r0 to r3 become columns of `out`, whose rows are `stride` apart.
HWY_INLINE void Transpose4(const float* r0, const float* r1, const float* r2, const float* r3, float* HWY_RESTRICT out,
                           size_t stride) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::Full128<float> d;
  const hn::Full128<uint64_t> d64;
  const auto a = hn::LoadU(d, r0), b = hn::LoadU(d, r1), c = hn::LoadU(d, r2), e = hn::LoadU(d, r3);
  const auto ab_low = hn::BitCast(d64, hn::InterleaveLower(d, a, b));
  const auto ab_high = hn::BitCast(d64, hn::InterleaveUpper(d, a, b));
  const auto ce_low = hn::BitCast(d64, hn::InterleaveLower(d, c, e));
  const auto ce_high = hn::BitCast(d64, hn::InterleaveUpper(d, c, e));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, ab_low, ce_low)), d, out);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, ab_low, ce_low)), d, out + stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, ab_high, ce_high)), d, out + 2 * stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, ab_high, ce_high)), d, out + 3 * stride);
}
#endif

// out [kPanelRows, kPanelRows] = the transpose of `columns` columns of a panel, [columns, kPanelRows] as fp32; zeros
// for those up to kPanelRows.
HWY_INLINE void TransposeFloats(const float* HWY_RESTRICT in, size_t columns, float* HWY_RESTRICT out) {
  size_t k = 0;
#if HWY_TARGET != HWY_SCALAR
  for (; k + 4 <= columns; k += 4) {
    for (size_t r = 0; r < kPanelRows; r += 4) {
      const float* const from = in + k * kPanelRows + r;
      Transpose4(from, from + kPanelRows, from + 2 * kPanelRows, from + 3 * kPanelRows, out + r * kPanelRows + k,
                 kPanelRows);
    }
  }
#endif
  for (; k < columns; ++k) {
    for (size_t r = 0; r < kPanelRows; ++r) out[r * kPanelRows + k] = in[k * kPanelRows + r];
  }
  if (columns == kPanelRows) return;
  for (size_t r = 0; r < kPanelRows; ++r) std::fill(out + r * kPanelRows + columns, out + (r + 1) * kPanelRows, 0.0f);
}

// The same from values of type T (float, F16, BF16).
template <typename T>
HWY_INLINE void TransposeBlock(const std::byte* HWY_RESTRICT in, size_t columns, float* HWY_RESTRICT out) {
  if constexpr (std::is_same_v<T, float>) {
    TransposeFloats(reinterpret_cast<const float*>(in), columns, out);
  } else {
    namespace hn = hwy::HWY_NAMESPACE;
    const hn::ScalableTag<float> d;
    HWY_ALIGN float wide[kPanelRows * kPanelRows];
    for (size_t i = 0; i < columns * kPanelRows; i += hn::Lanes(d)) {
      hn::Store(LoadFloats<T>(d, in + i * sizeof(T)), d, wide + i);
    }
    TransposeFloats(wide, columns, out);
  }
}

// Calls take(n, turned) for n = 0, kPanelRows, ... below `rows`: turned [kPanelRows, kPanelRows] is the transpose of
// columns [first, first + kPanelRows) of rows [n0 + n, n0 + n + kPanelRows) of W, which is packed in pairs of columns;
// zeros beyond its last row and column. first and n0 are multiples of kPanelRows.
template <class Take>
HWY_INLINE void ForTransposedPairs(const PackedMatrix& w, size_t first, size_t n0, size_t rows, const Take& take) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const size_t columns = std::min(kPanelRows, w.columns() - first), pairs = (columns + 1) / 2;
  HWY_ALIGN float block[kPanelRows * kPanelRows];  // columns as stored, one after another
  HWY_ALIGN float turned[kPanelRows * kPanelRows];
  for (size_t n = 0; n < rows; n += kPanelRows) {
    const auto* const words =
        reinterpret_cast<const uint32_t*>(w.panel((n0 + n) / kPanelRows)) + first / 2 * kPanelRows;
    for (size_t i = 0; i < pairs; ++i) {
      for (size_t row = 0; row < kPanelRows; row += hn::Lanes(d)) {
        const auto pair = hn::LoadU(du, words + i * kPanelRows + row);
        float* const to = block + 2 * i * kPanelRows + row;
        hn::Store(hn::BitCast(d, hn::ShiftLeft<16>(pair)), d, to);
        hn::Store(hn::BitCast(d, hn::And(pair, hn::Set(du, 0xFFFF0000u))), d, to + kPanelRows);
      }
    }
    TransposeFloats(block, columns, turned);
    take(n, turned);
  }
}

// The same block packed in pairs of rows: word (n / 2 * kPanelRows + c) is of rows n0 + n and n0 + n + 1 of column
// first + c, the lower row in the lower half.
HWY_INLINE void TransposePairs(const PackedMatrix& w, size_t first, size_t n0, size_t rows, uint32_t* HWY_RESTRICT to) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  ForTransposedPairs(w, first, n0, rows, [&](size_t n, const float* HWY_RESTRICT turned) HWY_ATTR {
    for (size_t r = 0; r < kPanelRows; r += 2) {
      for (size_t c = 0; c < kPanelRows; c += hn::Lanes(d)) {
        const auto low = hn::BitCast(du, hn::Load(d, turned + r * kPanelRows + c));
        const auto high = hn::BitCast(du, hn::Load(d, turned + (r + 1) * kPanelRows + c));
        hn::StoreU(hn::Or(hn::ShiftRight<16>(low), high), du, to + (n + r) / 2 * kPanelRows + c);
      }
    }
  });
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
