// A window that slides over a ByteSource: the bytes from the reader's place on, as far as they were read, in one piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "dataset/read/byte_source.h"

namespace stablelm {

// For one thread. Grows to what is not skipped; the reader sets the bound.
class ByteWindow {
 public:
  explicit ByteWindow(std::unique_ptr<ByteSource> source);

  // Followed by kRowPadding readable bytes (row_reader.h). Valid until Fill.
  std::string_view text() const { return {buffer_.get() + begin_, end_ - begin_}; }
  // Reads more bytes to the end of text(), whose address changes. False at the end of the source. Throws Error.
  bool Fill();
  // Fills until text() has `bytes` bytes or the source ends; false if it has fewer.
  bool FillTo(size_t bytes);
  // Drops the first bytes of text(), and counts their lines.
  void Skip(size_t bytes);

  uint64_t line() const { return line_; }  // where text() begins, from 1
  uint64_t consumed() const { return source_->consumed(); }

 private:
  std::unique_ptr<ByteSource> source_;
  std::unique_ptr<char[]> buffer_;
  size_t capacity_ = 0;  // without the padding
  size_t begin_ = 0, end_ = 0;
  uint64_t line_ = 1;
};

// Line ends of a text.
uint64_t CountLines(std::string_view text);

}  // namespace stablelm
