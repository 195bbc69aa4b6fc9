// Letters and blanks of ASCII, whatever the locale. Other bytes, and so all of UTF-8 beyond ASCII, stay as they are.
#pragma once

#include <string>
#include <string_view>

namespace stablelm {

constexpr char LowerAscii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

inline std::string LowerAscii(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = LowerAscii(c);
  return lower;
}

// Nothing but the six blanks of C: space, tab, line end, carriage return, form feed, vertical tab.
constexpr bool IsBlank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos;
}

// Drops one line end, LF or CR LF, from the end of the text.
inline void DropLineEnd(std::string& text) {
  if (!text.ends_with('\n')) return;
  text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
}

}  // namespace stablelm
