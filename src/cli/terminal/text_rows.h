// Word-wraps styled text into terminal rows: words stay whole, and styles continue on the next row.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

inline constexpr const char* kEndOfStyle = "\033[0m";

struct StyledText {
  std::string text;   // UTF-8 without control characters but '\n', which ends a row
  std::string style;  // an escape sequence such as "\033[1m"; empty: none
};

// Columns of text on a terminal. Escape sequences have none; a tab reaches to the next multiple of 8.
size_t ColumnsOf(std::string_view text);

// Rows of a window of `columns` that `text` takes when the terminal wraps it, at least 1.
size_t ScreenRowsOf(std::string_view text, size_t columns);

// Lays out rows of at most `width` columns. A tab becomes spaces to the next multiple of 8. Each row sets and resets
// its own style. `first` is the prefix of the first row, `rest` of the others (list marks, indents); both may contain
// escape sequences, which have width 0. A character and its marks stay together. wcwidth counts columns, in a UTF-8
// locale.
std::vector<std::string> LayOutRows(const std::vector<StyledText>& texts, size_t width, const std::string& first = {},
                                    const std::string& rest = {});

struct Window {
  size_t columns = 80, rows = 24;
};
// The window of the terminal at `fd`; 80 x 24 when it does not say.
Window WindowOf(int fd);

// Columns for text. Leaves one free: after writing the last column a terminal's cursor is between two rows.
size_t TextWidth(const Window& window);

// Wraps the lines of `text` by words for a window of `columns`. The further cells of a line of a table (after two
// spaces or more) are wrapped beside the first, or below it when little room is left there.
std::string WrappedLines(std::string_view text, size_t columns);

// Redraws changing rows at the bottom of a terminal. Writes only what has changed.
class LiveRows {
 public:
  // Returns what to write to the terminal to replace the previous rows by `rows`. The terminal wraps rows that are
  // wider than the window. Does not change rows that have scrolled off the screen. The window's columns must be the
  // same for all calls until Leave.
  std::string Update(std::vector<std::string> rows, Window window);
  // Leaves the current rows on the screen; the next Update begins below them.
  void Leave() { rows_.clear(); }

 private:
  std::vector<std::string> rows_;
};

}  // namespace stablelm
