// Word-wraps styled text into terminal rows: words stay whole, and styles continue on the next row.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

struct StyledText {
  std::string text;   // UTF-8 without control characters but '\n', which ends a row
  std::string style;  // an escape sequence such as "\033[1m"; empty: none
};

// Lays out rows of at most `width` columns (at least 8). Each row sets and resets its own style. `first` is the prefix
// of the first row, `rest` of the others (list marks, indents); both may contain escape sequences, which have width 0.
// wcwidth counts columns, in a UTF-8 locale.
std::vector<std::string> LayOutRows(const std::vector<StyledText>& texts, size_t width, const std::string& first = {},
                                    const std::string& rest = {});

// Redraws changing rows at the bottom of a terminal. Writes only what has changed.
class LiveRows {
 public:
  // Returns what to write to the terminal to replace the previous rows by `rows`. Does not change rows that have
  // scrolled off a screen of `height` rows.
  std::string Update(std::vector<std::string> rows, size_t height);
  // Leaves the current rows on the screen; the next Update begins below them.
  void Leave() { rows_.clear(); }

 private:
  std::vector<std::string> rows_;
};

}  // namespace stablelm
