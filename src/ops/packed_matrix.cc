#include "ops/packed_matrix.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "ops/convert.h"
#include "ops/quant/blocks.h"
#include "ops/quant/quant_row.h"

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

// Units [begin, end) of `rows` rows, one by one.
template <typename T>
void TransposePlain(const std::byte* stored, size_t row_bytes, size_t rows, size_t begin, size_t end, T* out) {
  for (size_t k = begin; k < end; ++k) {
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

// One step of a transpose: a and b become the lower and the upper halves of their interleaved lanes of type W.
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
  // Columns come out in bit-reversed order.
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

// Packs a field of one block of `rows` rows, or all elements of rows that are not quantized (count: K).
void TransposeField(const std::byte* stored, size_t row_bytes, size_t rows, size_t unit, size_t count, std::byte* out) {
  switch (unit) {
    case 1:
      return TransposePlain(stored, row_bytes, rows, 0, count, reinterpret_cast<uint8_t*>(out));
    case 2:
      return TransposeRows(stored, row_bytes, rows, count, reinterpret_cast<uint16_t*>(out));
    default:
      return TransposeRows(stored, row_bytes, rows, count, reinterpret_cast<uint32_t*>(out));
  }
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(TransposeField);

constexpr BlockField kWord[] = {{0, 4, 1}};
constexpr BlockField kHalf[] = {{0, 2, 1}};
constexpr BlockField kQ8_0[] = {{offsetof(BlockQ8_0, d), 2, 1}, {offsetof(BlockQ8_0, q), 4, 8}};
constexpr BlockField kQ4_0[] = {{offsetof(BlockQ4_0, d), 2, 1}, {offsetof(BlockQ4_0, q), 4, 4}};
constexpr BlockField kQ4_K[] = {
    {offsetof(BlockQ4_K, d), 2, 2}, {offsetof(BlockQ4_K, s), 4, 3}, {offsetof(BlockQ4_K, q), 4, 32}};
constexpr BlockField kQ5_K[] = {{offsetof(BlockQ5_K, d), 2, 2},
                                {offsetof(BlockQ5_K, s), 4, 3},
                                {offsetof(BlockQ5_K, high), 4, 8},
                                {offsetof(BlockQ5_K, q), 4, 32}};
constexpr BlockField kQ6_K[] = {{offsetof(BlockQ6_K, d), 2, 1},
                                {offsetof(BlockQ6_K, scale), 4, 4},
                                {offsetof(BlockQ6_K, low), 4, 32},
                                {offsetof(BlockQ6_K, high), 4, 16}};

constexpr size_t kPairBytes = 2 * sizeof(BF16);

// n elements of one row of a panel.
void CopyStrided(const std::byte* from, size_t element, size_t n, std::byte* out) {
  for (size_t i = 0; i < n && element == 2; ++i) std::memcpy(out + i * 2, from + i * kPanelRows * 2, 2);
  for (size_t i = 0; i < n && element == 4; ++i) std::memcpy(out + i * 4, from + i * kPanelRows * 4, 4);
}

size_t PanelBytes(DType type, int64_t columns, Compute compute) {
  const size_t row =
      compute == Compute::kFast ? static_cast<size_t>(columns + 1) / 2 * kPairBytes : BytesOf(type, columns);
  return kPanelRows * row;
}

}  // namespace

std::span<const BlockField> PackedFields(DType type) {
  switch (type) {
    case DType::kF32:
      return kWord;
    case DType::kF16:
    case DType::kBF16:
      return kHalf;
    case DType::kQ8_0:
      return kQ8_0;
    case DType::kQ4_0:
      return kQ4_0;
    case DType::kQ4_K:
      return kQ4_K;
    case DType::kQ5_K:
      return kQ5_K;
    case DType::kQ6_K:
      return kQ6_K;
    default:
      STABLELM_CHECK(false);
  }
}

PackedMatrix::PackedMatrix(DType type, int64_t rows, int64_t columns, const char* name, Compute compute)
    : type_(type),
      compute_(compute),
      rows_(static_cast<size_t>(rows)),
      columns_(static_cast<size_t>(columns)),
      panel_bytes_(PanelBytes(type, columns, compute)),
      own_(Bytes(type, rows, columns, compute), name),
      data_(own_.data()) {
  STABLELM_CHECK(compute == Compute::kExact || type == DType::kBF16);
}

PackedMatrix PackedMatrix::View(DType type, int64_t rows, int64_t columns, Compute compute, const std::byte* packed) {
  STABLELM_CHECK(compute == Compute::kExact || type == DType::kBF16);
  PackedMatrix view;
  view.type_ = type;
  view.compute_ = compute;
  view.rows_ = static_cast<size_t>(rows);
  view.columns_ = static_cast<size_t>(columns);
  view.panel_bytes_ = PanelBytes(type, columns, compute);
  view.data_ = packed;
  return view;
}

size_t PackedMatrix::Bytes(DType type, int64_t rows, int64_t columns, Compute compute) {
  const size_t panels = (static_cast<size_t>(rows) + kPanelRows - 1) / kPanelRows;
  return panels * PanelBytes(type, columns, compute);
}

size_t PackedMatrix::OffsetOf(DType type, int64_t columns, Compute compute, int64_t row, int64_t column) {
  STABLELM_CHECK(!IsQuantized(type));
  const size_t panel = static_cast<size_t>(row) / kPanelRows, r = static_cast<size_t>(row) % kPanelRows;
  const size_t k = static_cast<size_t>(column), begin = panel * PanelBytes(type, columns, compute);
  if (compute == Compute::kFast) return begin + (k / 2 * kPanelRows + r) * kPairBytes + k % 2 * sizeof(BF16);
  return begin + (k * kPanelRows + r) * BytesOf(type);
}

size_t PackedMatrix::RowsOf(size_t p) const {
  STABLELM_CHECK(p < panels());
  return std::min(kPanelRows, rows_ - p * kPanelRows);
}

void PackedMatrix::PackPanel(DType type, Compute compute, size_t count, size_t columns, const std::byte* rows,
                             std::byte* panel) {
  const size_t row_bytes = columns * BytesOf(type);
  if (compute == Compute::kExact) {
    HWY_DYNAMIC_DISPATCH(TransposeField)(rows, row_bytes, count, BytesOf(type), columns, panel);
    return;
  }
  const size_t pairs = columns / 2;
  HWY_DYNAMIC_DISPATCH(TransposeField)(rows, row_bytes, count, kPairBytes, pairs, panel);
  if (columns % 2 == 0) return;
  std::byte* const last = panel + pairs * kPanelRows * kPairBytes;
  std::memset(last, 0, kPanelRows * kPairBytes);
  for (size_t r = 0; r < count; ++r) {
    std::memcpy(last + r * kPairBytes, rows + r * row_bytes + pairs * kPairBytes, sizeof(BF16));
  }
}

void RoundToPairs(const float* packed, size_t columns, size_t begin, size_t end, BF16* pairs) {
  STABLELM_CHECK(begin % kPanelRows == 0 && end % kPanelRows == 0);
  for (size_t at = begin; at < end; at += kPanelRows) {
    const size_t panel = at / kPanelRows / columns, k = at / kPanelRows % columns;
    BF16* const to = pairs + (panel * ((columns + 1) / 2) + k / 2) * 2 * kPanelRows + k % 2;
    BF16 rounded[kPanelRows];
    ConvertFromFloat(packed + at, kPanelRows, DType::kBF16, reinterpret_cast<std::byte*>(rounded));
    for (size_t r = 0; r < kPanelRows; ++r) to[2 * r] = rounded[r];
  }
}

void PackedMatrix::Pack(size_t p, const std::byte* rows) {
  STABLELM_CHECK(own_.size() > 0);
  std::byte* out = own_.data() + p * panel_bytes();
  const size_t count = RowsOf(p);
  if (!IsQuantized(type_)) return PackPanel(type_, compute_, count, columns_, rows, out);
  const size_t blocks = columns_ / static_cast<size_t>(BlockElements(type_));
  for (size_t b = 0; b < blocks; ++b) {
    const std::byte* const block = rows + b * BlockBytes(type_);
    for (const BlockField& field : PackedFields(type_)) {
      HWY_DYNAMIC_DISPATCH(TransposeField)(block + field.offset, row_bytes(), count, field.unit, field.count, out);
      out += kPanelRows * field.unit * field.count;
    }
  }
}

void PackedMatrix::StoredPart(size_t n, size_t begin, size_t end, std::byte* out) const {
  const size_t row = n % kPanelRows;
  if (compute_ == Compute::kFast) {
    const std::byte* const from = panel(n / kPanelRows) + row * kPairBytes;
    for (size_t k = begin; k < end; k += 2) {
      std::memcpy(out + (k - begin) * sizeof(BF16), from + k / 2 * kPanelRows * kPairBytes,
                  std::min(size_t{2}, end - k) * sizeof(BF16));
    }
    return;
  }
  const size_t block_bytes = BlockBytes(type_), block = static_cast<size_t>(BlockElements(type_));
  const std::byte* from = panel(n / kPanelRows) + begin / block * kPanelRows * block_bytes;
  if (!IsQuantized(type_)) {
    CopyStrided(from + row * block_bytes, block_bytes, end - begin, out);
    return;
  }
  for (size_t k = begin; k < end; k += block, out += block_bytes) {
    for (const BlockField& field : PackedFields(type_)) {
      for (size_t i = 0; i < field.count; ++i) {
        std::memcpy(out + field.offset + i * field.unit, from + (i * kPanelRows + row) * field.unit, field.unit);
      }
      from += kPanelRows * field.unit * field.count;
    }
  }
}

void PackedMatrix::StoredRow(size_t n, std::byte* out) const {
  STABLELM_CHECK(n < rows_);
  StoredPart(n, 0, columns_, out);
}

void PackedMatrix::UnpackRow(size_t n, float* out) const {
  STABLELM_CHECK(n < rows_);
  constexpr size_t kPart = 256;  // columns: whole blocks of every type
  std::byte stored[kPart * sizeof(float)];
  for (size_t begin = 0; begin < columns_; begin += kPart) {
    const size_t end = std::min(begin + kPart, columns_);
    StoredPart(n, begin, end, stored);
    if (IsQuantized(type_)) {
      DecodeRow(type_, stored, {out + begin, end - begin});
    } else {
      ConvertToFloat(type_, stored, end - begin, out + begin);
    }
  }
}

}  // namespace stablelm
#endif  // HWY_ONCE
