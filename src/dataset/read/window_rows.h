// What the readers of text formats share: the window, the number of the row, the repaired copy of its JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dataset/read/byte_window.h"
#include "dataset/read/row_reader.h"

namespace stablelm {

inline const char* const kRowTooLong = "longer than 64 MB";
inline constexpr std::string_view kJsonSpace = " \t\r\n";
// Bytes that may be searched once more after an element or a record without end. Small faults cost little of it.
inline constexpr size_t kMostSearchedAgain = size_t{1} << 30;

class WindowRows : public RowReader {
 public:
  RowFormat format() const override { return format_; }
  uint64_t consumed() const override { return window_.consumed(); }

 protected:
  WindowRows(ByteWindow window, RowFormat format);

  // The next row: `json` repaired. It lies in the window or in another buffer that stays and has kRowPadding.
  DataRow Row(uint64_t line, std::string_view json);
  DataRow Broken(uint64_t line, std::string problem);

  ByteWindow window_;

 private:
  RowFormat format_;
  uint64_t index_ = 0;
  std::string repaired_;
};

}  // namespace stablelm
