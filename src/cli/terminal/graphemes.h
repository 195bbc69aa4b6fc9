// Graphemes: what a reader sees as one character, such as a letter with its accents or an emoji with its modifiers
// (Unicode UAX #29).
#pragma once

#include <cstdio>
#include <map>
#include <string>
#include <string_view>

namespace stablelm {

struct Grapheme {
  size_t bytes = 0;    // 0 only for an empty text
  size_t columns = 0;  // on a terminal; wcwidth counts them, in a UTF-8 locale
};
// The first grapheme of UTF-8 text. A line end, a tab or another control character is a grapheme of its own.
Grapheme NextGrapheme(std::string_view text);

// Maps text to one wchar_t per grapheme and back, for a line editor that takes each wchar_t for one step of the cursor.
// Graphemes of several code points get private code points of the same width, in order of their appearance.
class GraphemeCells {
 public:
  std::wstring Encode(std::string_view text);
  std::string Decode(std::wstring_view cells) const;
  // Whether `code_point` continues the grapheme in `cell` instead of beginning one.
  bool Joins(wchar_t cell, char32_t code_point) const;

  // A stream to `fd` that replaces the private code points by their graphemes. The caller closes it with fclose, which
  // leaves `fd` open, before this object ends.
  FILE* OpenStream(int fd);

 private:
  wchar_t CellOf(std::string_view grapheme, size_t columns);
  static ssize_t Write(void* stream, const char* bytes, size_t size);

  std::map<std::string, wchar_t, std::less<>> cells_;
  std::map<wchar_t, std::string> graphemes_;
  wchar_t next_narrow_, next_wide_;
  int fd_ = -1;
  std::string pending_;  // of the stream: an incomplete character

 public:
  GraphemeCells();
};

}  // namespace stablelm
