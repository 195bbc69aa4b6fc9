// Text laid out in rows of a terminal: words stay whole, styles are kept over the ends of rows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

struct StyledText {
  std::string text;   // UTF-8 without control characters but '\n', which ends a row
  std::string style;  // an escape sequence such as "\033[1m"; empty: none
};

// Rows of at most `width` columns (at least 8), each complete in itself: its style is set and taken back. `first`
// stands before the first row and `rest` before the others (list marks, indents); they may hold escape sequences, whose
// width is 0. Columns as wcwidth counts them, in a UTF-8 locale.
std::vector<std::string> LayOutRows(const std::vector<StyledText>& texts, size_t width, const std::string& first = {},
                                    const std::string& rest = {});

// Rows at the end of a terminal that are drawn again as they change. Only what has changed is written.
class LiveRows {
 public:
  // What to write to the terminal to show `rows` in place of the ones before. Rows that have left a screen of `height`
  // rows stay as they are.
  std::string Update(std::vector<std::string> rows, size_t height);
  // What is there stays; the next Update begins below it.
  void Leave() { rows_.clear(); }

 private:
  std::vector<std::string> rows_;
};

}  // namespace stablelm
