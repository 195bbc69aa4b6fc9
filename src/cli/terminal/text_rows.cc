#include "cli/terminal/text_rows.h"

#include <sys/ioctl.h>

#include <algorithm>

#include "base/error.h"
#include "cli/terminal/graphemes.h"

namespace stablelm {
namespace {

// Overwrite rows and never erase the whole screen: tmux and others save a screen that is erased from its first cell, so
// text that scrolls up would appear twice.
constexpr const char* kEraseRest = "\033[K";   // erases the rest of the row
constexpr const char* kEraseBelow = "\033[J";  // erases the rest of the row and all rows below

constexpr size_t kTab = 8;
constexpr size_t kNarrowestCell = 24;  // columns that are left for the further cells of a line

// The length of the escape sequence that `text` begins with, 0 if it begins with none.
size_t EscapeBytes(std::string_view text) {
  if (!text.starts_with("\033[")) return 0;
  const size_t end = text.find('m');
  return end == text.npos ? text.size() : end + 1;
}

class RowBuilder {
 public:
  RowBuilder(size_t width, const std::string& first, const std::string& rest) : width_(width), rest_(rest) {
    Begin(first);
  }

  void Add(const StyledText& piece) {
    for (std::string_view text = piece.text; !text.empty();) {
      const Grapheme one = NextGrapheme(text);
      const std::string_view bytes = text.substr(0, one.bytes);
      text.remove_prefix(one.bytes);
      if (bytes == "\n") {
        EndWord();
        EndRow();
      } else if (bytes == " " || bytes == "\t") {
        EndWord();
        const size_t columns = bytes == " " ? 1 : kTab - (column_ - indent_ + spaces_width_) % kTab;
        Append(std::string(columns, ' '), piece.style, spaces_, spaces_style_);
        spaces_width_ += columns;
      } else {
        const size_t columns = one.columns;
        // A row may break before or after any wide character (Chinese, emoji).
        if (columns >= 2) EndWord();
        if (word_width_ + columns > Room()) EndWord();  // longer than a row
        Append(bytes, piece.style, word_, word_style_);
        word_width_ += columns;
        if (columns >= 2) EndWord();
      }
    }
  }

  std::vector<std::string> Finish() {
    EndWord();
    if (spaces_width_ > 0 && column_ + spaces_width_ <= width_) Place(spaces_, spaces_style_);
    EndRow();
    return std::move(rows_);
  }

 private:
  size_t Room() const { return width_ > indent_ ? width_ - indent_ : 1; }

  void Begin(const std::string& prefix) {
    row_ = prefix;
    indent_ = column_ = ColumnsOf(prefix);
    style_.clear();
  }
  void EndRow() {
    if (!style_.empty()) row_ += kEndOfStyle;
    rows_.push_back(std::move(row_));
    Begin(rest_);
    spaces_.clear();
    spaces_style_.clear();
    spaces_width_ = 0;
  }
  // Where the style of a text may change: [offset, style].
  using Styles = std::vector<std::pair<size_t, std::string>>;
  static void Append(std::string_view bytes, const std::string& style, std::string& text, Styles& styles) {
    if (styles.empty() || styles.back().second != style) styles.emplace_back(text.size(), style);
    text += bytes;
  }
  void Place(const std::string& text, const Styles& styles) {
    for (size_t i = 0; i < styles.size(); ++i) {
      const size_t end = i + 1 < styles.size() ? styles[i + 1].first : text.size();
      if (styles[i].second != style_) {
        if (!style_.empty()) row_ += kEndOfStyle;
        style_ = styles[i].second;
        row_ += style_;
      }
      row_ += text.substr(styles[i].first, end - styles[i].first);
    }
  }
  void EndWord() {
    if (word_.empty()) return;
    if (column_ > indent_ && column_ + spaces_width_ + word_width_ > width_) {
      EndRow();  // drop the spaces before the word at a row break
    } else {
      Place(spaces_, spaces_style_);
      column_ += spaces_width_;
    }
    Place(word_, word_style_);
    column_ += word_width_;
    word_.clear(), word_style_.clear(), word_width_ = 0;
    spaces_.clear(), spaces_style_.clear(), spaces_width_ = 0;
  }

  size_t width_;
  std::string rest_;
  std::vector<std::string> rows_;
  std::string row_, style_;
  size_t indent_ = 0, column_ = 0;
  std::string word_, spaces_;
  Styles word_style_, spaces_style_;
  size_t word_width_ = 0, spaces_width_ = 0;
};

}  // namespace

std::vector<std::string> LayOutRows(const std::vector<StyledText>& texts, size_t width, const std::string& first,
                                    const std::string& rest) {
  RowBuilder builder(std::max<size_t>(width, 1), first, rest);
  for (const StyledText& text : texts) builder.Add(text);
  return builder.Finish();
}

size_t ColumnsOf(std::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    if (const size_t escape = EscapeBytes(text); escape > 0) {
      text.remove_prefix(escape);
      continue;
    }
    const Grapheme one = NextGrapheme(text);
    columns = text.front() == '\t' ? (columns / kTab + 1) * kTab : columns + one.columns;
    text.remove_prefix(one.bytes);
  }
  return columns;
}

size_t ScreenRowsOf(std::string_view text, size_t columns) {
  size_t rows = 1, column = 0;
  while (!text.empty()) {
    if (const size_t escape = EscapeBytes(text); escape > 0) {
      text.remove_prefix(escape);
      continue;
    }
    const Grapheme one = NextGrapheme(text);
    if (text.front() == '\t') {
      column = std::min((column / kTab + 1) * kTab, columns - 1);
    } else {
      if (column + one.columns > columns) ++rows, column = 0;
      column += one.columns;
    }
    text.remove_prefix(one.bytes);
  }
  return rows;
}

Window WindowOf(int fd) {
  winsize size = {};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {.columns = size.ws_col, .rows = size.ws_row};
}

size_t TextWidth(const Window& window) { return std::max<size_t>(window.columns, 9) - 1; }

std::string WrappedLines(std::string_view text, size_t columns) {
  std::string out;
  // Leave one column free: after writing the last column a terminal's cursor is between two rows.
  const size_t width = columns - 1;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (ColumnsOf(line) <= width) {
      out.append(line).append("\n");
      continue;
    }
    const size_t words = std::min(line.find_first_not_of(' '), line.size());
    const size_t gap = line.find("  ", words);
    const size_t cell = std::min(line.find_first_not_of(' ', gap), line.size());  // the second one
    std::string rest;                                                             // the further cells, two spaces apart
    for (const char c : line.substr(cell)) {
      if (c != ' ' || !rest.ends_with("  ")) rest += c;
    }
    std::vector<std::string> rows;
    if (const size_t column = ColumnsOf(line.substr(0, cell)); gap != line.npos && column + kNarrowestCell <= width) {
      rows =
          LayOutRows({{.text = rest, .style = {}}}, width, std::string(line.substr(0, cell)), std::string(column, ' '));
    } else {
      const std::string indent(words < width / 2 ? words : 0, ' ');
      const std::string deeper = indent + "    ", first(line.substr(words, gap - words));
      const bool fits = ColumnsOf(indent + first + "  " + rest) <= width;  // without the alignment
      rows = LayOutRows({{.text = fits ? first + "  " + rest : first, .style = {}}}, width, indent, indent);
      if (!fits && !rest.empty()) {
        const std::vector<std::string> more = LayOutRows({{.text = rest, .style = {}}}, width, deeper, deeper);
        rows.insert(rows.end(), more.begin(), more.end());
      }
    }
    for (const std::string& row : rows) out += row + "\n";
  }
  return out;
}

std::string LiveRows::Update(std::vector<std::string> rows, Window window) {
  STABLELM_CHECK(window.columns > 0);
  std::string out;
  if (rows.empty()) rows.emplace_back();
  if (rows_.empty()) rows_.emplace_back();  // the cursor's row
  const size_t same = static_cast<size_t>(std::ranges::mismatch(rows_, rows).in1 - rows_.begin());
  if (same == rows_.size() && same == rows.size()) return out;
  const auto screen_rows = [&](const std::string& row) { return ScreenRowsOf(row, window.columns); };
  const size_t last = rows_.size() - 1;
  size_t reachable = rows_.size(), on_screen = 0;  // the first row that is whole on the screen
  while (reachable > 0 && on_screen + screen_rows(rows_[reachable - 1]) <= window.rows) {
    on_screen += screen_rows(rows_[--reachable]);
  }
  size_t from = std::max(same, reachable);
  size_t at = 0, old_end = 0;  // screen rows below the top of row 0
  for (size_t i = 0; i <= last; ++i) old_end += screen_rows(rows_[i]);
  const auto write = [&](const std::string& row, bool over_text) {
    for (const char c : row) {
      if (c == '\t' && over_text) out += kEraseRest;  // a tab erases nothing
      out += c;
    }
    at += screen_rows(row);
    // A full row has nothing to erase, and the cursor waits on its last character.
    const size_t columns = ColumnsOf(row);
    if (over_text && (columns == 0 || columns % window.columns != 0)) out += kEraseRest;
  };
  if (from >= last && rows.size() > last && rows[last].starts_with(rows_[last])) {
    out += rows[last].substr(rows_[last].size());  // the last row only grew
    from = last;
    at = old_end - screen_rows(rows_[last]) + screen_rows(rows[last]);
  } else {
    from = std::min({from, last, rows.size() - 1});
    for (size_t i = 0; i < from; ++i) at += screen_rows(rows_[i]);
    if (old_end - at > 1) out += "\033[" + std::to_string(old_end - at - 1) + "A";
    out += "\r";
    write(rows[from], true);
  }
  for (size_t i = from + 1; i < rows.size(); ++i) {
    out += "\r\n";
    write(rows[i], at < old_end);
  }
  if (at < old_end) out += kEraseBelow;
  rows_ = std::move(rows);
  return out;
}

}  // namespace stablelm
