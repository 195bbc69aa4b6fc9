#include "cli/terminal/text_rows.h"

#include <algorithm>
#include <cwchar>

#include "base/utf8.h"

namespace stablelm {
namespace {

constexpr const char* kPlain = "\033[0m";
// Overwrite rows and never erase the whole screen: tmux and others save a screen that is erased from its first cell, so
// text that scrolls up would appear twice.
constexpr const char* kEraseRest = "\033[K";   // erases the rest of the row
constexpr const char* kEraseBelow = "\033[J";  // erases the rest of the row and all rows below

size_t WidthOf(char32_t c) {
  const int width = wcwidth(static_cast<wchar_t>(c));
  return width > 0 ? static_cast<size_t>(width) : 0;
}

size_t WidthWithoutEscapes(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    if (text.starts_with("\033[")) {
      text.remove_prefix(std::min(text.size(), text.find('m') + 1));
      continue;
    }
    const utf8::Decoded one = utf8::DecodeOne(text);
    width += WidthOf(one.code_point);
    text.remove_prefix(one.bytes);
  }
  return width;
}

class RowBuilder {
 public:
  RowBuilder(size_t width, const std::string& first, const std::string& rest) : width_(width), rest_(rest) {
    Begin(first);
  }

  void Add(const StyledText& piece) {
    for (std::string_view text = piece.text; !text.empty();) {
      const utf8::Decoded one = utf8::DecodeOne(text);
      const std::string_view bytes = text.substr(0, one.bytes);
      text.remove_prefix(one.bytes);
      const size_t columns = WidthOf(one.code_point);
      if (bytes == "\n") {
        EndWord();
        EndRow();
      } else if (bytes == " " || bytes == "\t") {
        EndWord();
        Append(" ", piece.style, spaces_, spaces_style_);
        ++spaces_width_;
      } else {
        // A row may break before or after any wide character (Chinese, emoji).
        if (columns == 2) EndWord();
        if (word_width_ + columns > Room()) EndWord();  // longer than a row
        Append(bytes, piece.style, word_, word_style_);
        word_width_ += columns;
        if (columns == 2) EndWord();
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
    indent_ = column_ = WidthWithoutEscapes(prefix);
    style_.clear();
  }
  void EndRow() {
    if (!style_.empty()) row_ += kPlain;
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
        if (!style_.empty()) row_ += kPlain;
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
  RowBuilder builder(std::max<size_t>(width, 8), first, rest);
  for (const StyledText& text : texts) builder.Add(text);
  return builder.Finish();
}

std::string LiveRows::Update(std::vector<std::string> rows, size_t height) {
  std::string out;
  if (rows.empty()) rows.emplace_back();
  if (rows_.empty()) {
    rows_.emplace_back();  // the cursor's row
  }
  const size_t same = static_cast<size_t>(std::ranges::mismatch(rows_, rows).in1 - rows_.begin());
  const size_t reachable = rows_.size() > height ? rows_.size() - height : 0;
  size_t from = std::max(same, reachable);
  if (same == rows_.size() && same == rows.size()) return out;
  const size_t last = rows_.size() - 1;
  if (from >= last && rows.size() > last && rows[last].starts_with(rows_[last])) {
    out += rows[last].substr(rows_[last].size());  // the last row only grew
    from = last;
  } else {
    from = std::min({from, last, rows.size() - 1});
    if (last > from) out += "\033[" + std::to_string(last - from) + "A";
    out += "\r" + rows[from] + kEraseRest;
  }
  for (size_t i = from + 1; i < rows.size(); ++i) out += "\r\n" + rows[i] + (i <= last ? kEraseRest : "");
  if (rows.size() <= last) out += kEraseBelow;
  rows_ = std::move(rows);
  return out;
}

}  // namespace stablelm
