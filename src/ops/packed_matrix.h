// A weight matrix, packed in the order in which products read it.
//
// Rows are grouped into panels of kPanelRows. Inside a panel the elements of one column are adjacent: column k of panel
// p starts at element (p * K + k) * kPanelRows. Each lane of a vector of weights then belongs to a different output, so
// a product needs no sums across lanes, and a panel is one memory stream whatever the number of rows of x. The last
// panel is padded with zeros.
//
// Quantized rows are packed block by block. Each field of the block (PackedFields) holds its first unit of all rows of
// the panel, then its second, and so on. Units are fp16 scales, and words of four quants or integer scales, the
// operands of integer products. Nothing is decoded: a matrix takes as many bytes as in its file.
//
// bf16 weights for Compute::kFast are packed in pairs of columns, the lower one first, as the bf16 instructions read
// them: the pair of columns 2i and 2i + 1 of row r of panel p is word (p * ceil(K / 2) + i) * kPanelRows + r. An odd K
// is padded with a zero column.
//
// A matrix owns its memory, in huge pages where the system has them, because 4 KiB pages cost a fifth of the decoding
// speed. A View borrows weights that its owner keeps in packed order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/aligned_buffer.h"
#include "base/dtype.h"
#include "ops/compute.h"

namespace stablelm {

inline constexpr size_t kPanelRows = 32;

// A field of a block: `count` units of `unit` bytes, `offset` bytes from the block's start.
struct BlockField {
  size_t offset = 0, unit = 0, count = 0;
};
// The fields of a type's block in packed order. A type that is not quantized has one, its element.
std::span<const BlockField> PackedFields(DType type);

class PackedMatrix {
 public:
  PackedMatrix() = default;
  // [rows, columns] of fp32, fp16, bf16 or a quantized type (whole blocks); not initialised. Throws Error with `name`
  // when there is not enough memory. Compute::kFast needs bf16.
  PackedMatrix(DType type, int64_t rows, int64_t columns, const char* name, Compute compute = Compute::kExact);
  // Size of a packed matrix in bytes, and the byte offset in it of element (row, column), for types that are not
  // quantized.
  static size_t Bytes(DType type, int64_t rows, int64_t columns, Compute compute = Compute::kExact);
  static size_t OffsetOf(DType type, int64_t columns, Compute compute, int64_t row, int64_t column);
  // A matrix over packed weights that the caller owns and may change between products: Bytes(...) bytes, 64-byte
  // aligned, which must outlive the view.
  static PackedMatrix View(DType type, int64_t rows, int64_t columns, Compute compute, const std::byte* packed);

  DType type() const { return type_; }
  Compute compute() const { return compute_; }  // arithmetic of its products
  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }
  size_t panels() const { return (rows_ + kPanelRows - 1) / kPanelRows; }
  size_t row_bytes() const { return BytesOf(type_, static_cast<int64_t>(columns_)); }
  size_t panel_bytes() const { return panel_bytes_; }
  size_t bytes() const { return panels() * panel_bytes(); }
  const std::byte* panel(size_t p) const { return data_ + p * panel_bytes(); }

  size_t RowsOf(size_t p) const;  // kPanelRows, fewer in the last panel
  // Packs panel p from its rows as stored: row-major, of the same type, at any byte address. Threads may pack different
  // panels concurrently. Not for views.
  void Pack(size_t p, const std::byte* rows);
  // The same for a panel in the caller's memory: `count` rows of `columns` elements, not quantized.
  static void PackPanel(DType type, Compute compute, size_t count, size_t columns, const std::byte* rows,
                        std::byte* panel);
  // Row n as it was stored, row_bytes().
  void StoredRow(size_t n, std::byte* out) const;
  // Row n as fp32 [columns], decoded when it is quantized. Allocates nothing.
  void UnpackRow(size_t n, float* out) const;

 private:
  // Columns [begin, end) of row n as stored; begin is even, and whole blocks of a quantized type.
  void StoredPart(size_t n, size_t begin, size_t end, std::byte* out) const;

  DType type_ = DType::kF32;
  Compute compute_ = Compute::kExact;
  size_t rows_ = 0, columns_ = 0, panel_bytes_ = 0;
  AlignedBuffer<std::byte> own_;  // empty: a view
  const std::byte* data_ = nullptr;
};

// Rounds elements [begin, end) of a packed fp32 matrix, multiples of kPanelRows, into the matrix packed as bf16 for
// Compute::kFast. Threads may round disjoint ranges concurrently.
void RoundToPairs(const float* packed, size_t columns, size_t begin, size_t end, BF16* pairs);

}  // namespace stablelm
