#include "ops/packed_matrix.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "ops/convert.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/packed_matrix.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <typename T>
HWY_INLINE T LoadElement(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

// Columns [k_begin, k_end) of `rows` rows, element by element.
template <typename T>
void TransposePlain(const std::byte* stored, size_t row_bytes, size_t rows, size_t k_begin, size_t k_end, T* out) {
  for (size_t k = k_begin; k < k_end; ++k) {
    T* const column = out + k * kPanelRows;
    for (size_t r = 0; r < rows; ++r) column[r] = LoadElement<T>(stored + r * row_bytes + k * sizeof(T));
    std::fill(column + rows, column + kPanelRows, T{});
  }
}

#if HWY_TARGET != HWY_SCALAR
template <typename T, class D = hn::Full128<T>>
HWY_INLINE hn::Vec<D> LoadBlock(const std::byte* p) {
  return hn::BitCast(D(), hn::LoadU(hn::Full128<uint8_t>(), reinterpret_cast<const uint8_t*>(p)));
}

// One step of a transposition: pairs (a, b) of vectors exchange their halves of lanes as wide as W.
template <typename W, class V>
HWY_INLINE void Interleave(V& a, V& b) {
  const hn::DFromV<V> d;
  const hn::Full128<W> wide;
  const auto wa = hn::BitCast(wide, a), wb = hn::BitCast(wide, b);
  a = hn::BitCast(d, hn::InterleaveLower(wide, wa, wb));
  b = hn::BitCast(d, hn::InterleaveUpper(wide, wa, wb));
}

// 8 rows, 8 columns.
HWY_INLINE void TransposeTile(const std::byte* in, size_t row_bytes, uint16_t* out) {
  hn::Vec<hn::Full128<uint16_t>> v[8];
  for (size_t r = 0; r < 8; ++r) v[r] = LoadBlock<uint16_t>(in + r * row_bytes);
  for (size_t i = 0; i < 8; i += 2) Interleave<uint16_t>(v[i], v[i + 1]);
  for (size_t i = 0; i < 8; i += 4) {
    Interleave<uint32_t>(v[i], v[i + 2]);
    Interleave<uint32_t>(v[i + 1], v[i + 3]);
  }
  for (size_t i = 0; i < 4; ++i) Interleave<uint64_t>(v[i], v[i + 4]);
  // Columns come out in bit-reversed order, upper halves first in their pairs.
  constexpr size_t kVectorOfColumn[8] = {0, 4, 2, 6, 1, 5, 3, 7};
  for (size_t k = 0; k < 8; ++k) {
    hn::StoreU(v[kVectorOfColumn[k]], hn::Full128<uint16_t>(), out + k * kPanelRows);
  }
}

// 4 rows, 4 columns.
HWY_INLINE void TransposeTile(const std::byte* in, size_t row_bytes, uint32_t* out) {
  hn::Vec<hn::Full128<uint32_t>> v[4];
  for (size_t r = 0; r < 4; ++r) v[r] = LoadBlock<uint32_t>(in + r * row_bytes);
  for (size_t i = 0; i < 4; i += 2) Interleave<uint32_t>(v[i], v[i + 1]);
  for (size_t i = 0; i < 2; ++i) Interleave<uint64_t>(v[i], v[i + 2]);
  constexpr size_t kVectorOfColumn[4] = {0, 2, 1, 3};
  for (size_t k = 0; k < 4; ++k) {
    hn::StoreU(v[kVectorOfColumn[k]], hn::Full128<uint32_t>(), out + k * kPanelRows);
  }
}
#endif

template <typename T>
void TransposeRows(const std::byte* stored, size_t row_bytes, size_t rows, size_t columns, T* out) {
  size_t k = 0;
#if HWY_TARGET != HWY_SCALAR
  constexpr size_t kTile = 16 / sizeof(T);
  if (rows == kPanelRows) {
    for (; k + kTile <= columns; k += kTile) {
      for (size_t r = 0; r < kPanelRows; r += kTile) {
        TransposeTile(stored + r * row_bytes + k * sizeof(T), row_bytes, out + k * kPanelRows + r);
      }
    }
  }
#endif
  TransposePlain(stored, row_bytes, rows, k, columns, out);
}

void TransposePanel(const std::byte* stored, size_t element_bytes, size_t rows, size_t columns, std::byte* out) {
  if (element_bytes == 2) {
    TransposeRows(stored, columns * 2, rows, columns, reinterpret_cast<uint16_t*>(out));
  } else {
    TransposeRows(stored, columns * 4, rows, columns, reinterpret_cast<uint32_t*>(out));
  }
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(TransposePanel);
}  // namespace

PackedMatrix::PackedMatrix(DType type, int64_t rows, int64_t columns, const char* name)
    : type_(type),
      rows_(static_cast<size_t>(rows)),
      columns_(static_cast<size_t>(columns)),
      data_(Bytes(type, rows, columns), name) {
  STABLELM_CHECK(type == DType::kF32 || type == DType::kF16 || type == DType::kBF16);
}

size_t PackedMatrix::Bytes(DType type, int64_t rows, int64_t columns) {
  const size_t panels = (static_cast<size_t>(rows) + kPanelRows - 1) / kPanelRows;
  return panels * kPanelRows * BytesOf(type, columns);
}

size_t PackedMatrix::RowsOf(size_t p) const {
  STABLELM_CHECK(p < panels());
  return std::min(kPanelRows, rows_ - p * kPanelRows);
}

void PackedMatrix::Pack(size_t p, const std::byte* rows) {
  HWY_DYNAMIC_DISPATCH(TransposePanel)
  (rows, BytesOf(type_), RowsOf(p), columns_, data_.data() + p * panel_bytes());
}

void PackedMatrix::UnpackRow(size_t n, float* out) const {
  STABLELM_CHECK(n < rows_);
  const std::byte* const from = panel(n / kPanelRows);
  const size_t size = BytesOf(type_);
  for (size_t k = 0; k < columns_; ++k) {
    ConvertToFloat(type_, from + (k * kPanelRows + n % kPanelRows) * size, 1, out + k);
  }
}

}  // namespace stablelm
#endif  // HWY_ONCE
