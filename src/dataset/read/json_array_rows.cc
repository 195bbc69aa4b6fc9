// A broken element costs itself alone if the next one can be found: behind its end as JsonValueEnd finds it or, where a
// string or a bracket was left open, at the next line that begins as elements of this file do, with the same
// indentation and a bracket.
#include <algorithm>

#include "base/error.h"
#include "dataset/read/json_value_end.h"
#include "dataset/read/row_formats.h"
#include "dataset/read/window_rows.h"

namespace stablelm {
namespace {

constexpr size_t kMostIndent = size_t{1} << 16;

class JsonArray final : public WindowRows {
 public:
  JsonArray(ByteWindow window, std::string file)
      : WindowRows(std::move(window), RowFormat::kJsonArray), file_(std::move(file)) {
    SkipSpace();
    if (!window_.text().starts_with('[')) {
      throw Error({.where = Place(window_.line()),
                   .what = "not a JSON array",
                   .found = window_.text().empty() ? "the end of the file" : Quoted(window_.text(), 20),
                   .expected = "[",
                   .hint = "JSON lines are read from files that end in .jsonl"});
    }
    window_.Skip(1);
  }

  std::optional<DataRow> Next() override {
    window_.Skip(row_bytes_);
    row_bytes_ = 0;
    while (state_ != State::kEnd) {
      SkipSpace();
      const uint64_t line = window_.line();
      if (window_.text().empty()) FailWithoutEnd(line, "the array has no end");
      const char c = window_.text()[0];
      if (state_ == State::kAfterElement) {
        if (c == ',') {
          Step(State::kAfterComma);
        } else if (c == ']') {
          End();
        } else if (c == '{' || c == '[' || c == '"') {
          state_ = State::kAfterComma;
          return Broken(line, "no comma before this row");
        } else {
          value_.Start();
          ScanValue();
          return Broken(line, "between rows: found " + Quoted(window_.text().substr(0, row_bytes_), 40) +
                                  ", expected a comma or ]");
        }
      } else if (c == ']') {
        const bool first = state_ == State::kFirst;
        End();
        if (!first) return Broken(line, "no row between a comma and ]");
      } else if (c == ',') {
        Step(State::kAfterComma);
        return Broken(line, "no row before a comma");
      } else {
        return Element(line);
      }
    }
    return std::nullopt;
  }

 private:
  enum class State { kFirst, kAfterComma, kAfterElement, kEnd };

  std::string Place(uint64_t line) const { return file_ + ": line " + std::to_string(line); }
  [[noreturn]] void FailWithoutEnd(uint64_t line, const std::string& what) const {
    throw Error({.where = Place(line),
                 .what = what,
                 .found = "the end of the file",
                 .expected = "]",
                 .hint = "get the file again, or close the array"});
  }

  void Step(State next) {
    window_.Skip(1);
    state_ = next;
    line_begins_ = false;
  }

  // The array's end: only white space may follow.
  void End() {
    Step(State::kEnd);
    SkipSpace();
    if (window_.text().empty()) return;
    throw Error({.where = Place(window_.line()),
                 .what = "something follows the end of the array",
                 .found = Quoted(window_.text(), 40),
                 .expected = "the end of the file",
                 .hint = "a bracket too many closes the array; `jq . FILE` names the place"});
  }

  void SkipSpace() {
    while (true) {
      const std::string_view text = window_.text();
      const size_t spaces = std::min(text.find_first_not_of(kJsonSpace), text.size());
      const size_t newline = text.substr(0, spaces).rfind('\n');
      if (newline != std::string_view::npos) {
        line_begins_ = true;
        indent_ = spaces - newline - 1;
      } else {
        indent_ += spaces;
      }
      window_.Skip(spaces);
      if (!window_.text().empty() || !window_.Fill()) return;
    }
  }

  // Sets row_bytes_ to the value's length in the window, and value_ past it. Values that are too long are dropped on
  // the way. kMore: the file ends before.
  JsonValueEnd::Found ScanValue() {
    too_long_ = false;
    while (true) {
      const JsonValueEnd::Found found = value_.Scan(window_.text());
      row_bytes_ = value_.position();
      too_long_ |= row_bytes_ > kMostRowBytes;
      if (found != JsonValueEnd::Found::kMore) return found;
      if (too_long_) {
        window_.Skip(row_bytes_);
        value_.Forget(row_bytes_);
        row_bytes_ = 0;
      }
      if (!window_.Fill()) return found;
    }
  }

  DataRow Element(uint64_t line) {
    const char first = window_.text()[0];
    if (line_begins_) element_indent_ = indent_;
    line_begins_ = false;
    value_.Start();
    state_ = State::kAfterElement;
    switch (ScanValue()) {
      case JsonValueEnd::Found::kEnd:
        break;
      case JsonValueEnd::Found::kBrokenString: {
        const uint64_t string_line = window_.line() + CountLines(window_.text().substr(0, row_bytes_));
        window_.Skip(row_bytes_);
        row_bytes_ = 0;
        return Resume(line, first, "line " + std::to_string(string_line) + " ends inside a string");
      }
      case JsonValueEnd::Found::kMore: {
        const std::string_view rest = window_.text();
        // A scalar needs no bracket: the array's end is what lacks.
        if (too_long_ || (first != '{' && first != '[') || rest.size() > kMostSearchedAgain - searched_again_) {
          FailWithoutEnd(line, "the file ends inside a row that begins here");
        }
        searched_again_ += rest.size();
        row_bytes_ = 0;
        return Resume(line, first, "the row has no end");
      }
    }
    if (too_long_) return Broken(line, kRowTooLong);
    std::string_view json = window_.text().substr(0, row_bytes_);
    return Row(line, json.substr(0, json.find_last_not_of(kJsonSpace) + 1));
  }

  // Goes to the next line that begins a row; text() begins inside the broken row or at the end of one of its lines.
  DataRow Resume(uint64_t line, char first, std::string problem) {
    bool ends = false;  // the line seen last is ]
    size_t at = 0;
    while (true) {
      size_t newline = window_.text().find('\n', at);
      if (newline == std::string_view::npos) {
        window_.Skip(window_.text().size());
        if (!window_.Fill()) break;
        at = 0;
        continue;
      }
      window_.Skip(newline + 1);
      size_t indent;
      while ((indent = window_.text().find_first_not_of(" \t")) == std::string_view::npos && window_.Fill() &&
             window_.text().size() <= kMostIndent) {
      }
      at = 0;
      if (indent == std::string_view::npos) continue;
      const char c = window_.text()[indent];
      if (c == first && (!element_indent_ || *element_indent_ == indent)) {
        state_ = State::kAfterComma;
        line_begins_ = true;
        indent_ = 0;  // SkipSpace adds what is there
        return Broken(line, problem + "; the next row was found at line " + std::to_string(window_.line()));
      }
      if (c != '\n' && c != '\r') ends = c == ']' && OnlySpaceFollows(indent + 1);
      if (ends) break;
    }
    if (!ends) FailWithoutEnd(line, problem + ", and no row that follows was found");
    state_ = State::kEnd;
    return Broken(line, problem + "; no row follows");
  }

  // Whether nothing but white space is in text() from the offset on, and in the rest of the file.
  bool OnlySpaceFollows(size_t from) {
    while (true) {
      const std::string_view text = window_.text().substr(from);
      const size_t other = text.find_first_not_of(kJsonSpace);
      if (other != std::string_view::npos) return false;
      if (text.size() > kMostRowBytes) return false;
      if (!window_.Fill()) return true;
    }
  }

  std::string file_;
  State state_ = State::kFirst;
  JsonValueEnd value_;
  size_t row_bytes_ = 0;  // of the window, that the row before takes
  bool too_long_ = false;
  bool line_begins_ = false;  // only white space is before the window in its line
  size_t indent_ = 0;         // how much
  std::optional<size_t> element_indent_;
  size_t searched_again_ = 0;
};

}  // namespace

std::unique_ptr<RowReader> JsonArrayRows(ByteWindow window, const std::string& file) {
  return std::make_unique<JsonArray>(std::move(window), file);
}

}  // namespace stablelm
