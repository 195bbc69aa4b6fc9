// The weights of a matrix in the order in which products read them.
//
// Rows are cut into panels of kPanelRows. Inside a panel the elements of one column lie side by side: column k of
// panel p starts at element (p * K + k) * kPanelRows. A vector of weights then belongs to as many outputs, so that a
// product needs no sums across lanes, and a panel is one stream of memory whatever the number of rows of x. The last
// panel is filled up with zeros.
//
// The memory is the matrix's own, in huge pages where the system has them: walking 4 KiB pages costs a fifth of the
// speed of decoding.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/aligned_buffer.h"
#include "base/dtype.h"

namespace stablelm {

inline constexpr size_t kPanelRows = 32;

class PackedMatrix {
 public:
  PackedMatrix() = default;
  // [rows, columns] of fp32, fp16 or bf16; not initialised. `name` is for the error when there is no memory.
  PackedMatrix(DType type, int64_t rows, int64_t columns, const char* name);
  static size_t Bytes(DType type, int64_t rows, int64_t columns);

  DType type() const { return type_; }
  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }
  size_t panels() const { return (rows_ + kPanelRows - 1) / kPanelRows; }
  size_t panel_bytes() const { return columns_ * kPanelRows * BytesOf(type_); }
  const std::byte* panel(size_t p) const { return data_.data() + p * panel_bytes(); }

  size_t RowsOf(size_t p) const;  // kPanelRows, fewer in the last panel
  // Fills panel p from its rows as stored: row-major, of the same type, at any byte address. Threads may fill different
  // panels at the same time.
  void Pack(size_t p, const std::byte* rows);
  // Row n as fp32 [columns].
  void UnpackRow(size_t n, float* out) const;

 private:
  DType type_ = DType::kF32;
  size_t rows_ = 0, columns_ = 0;
  AlignedBuffer<std::byte> data_;
};

}  // namespace stablelm
