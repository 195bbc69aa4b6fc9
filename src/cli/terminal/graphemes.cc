#include "cli/terminal/graphemes.h"

#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <cerrno>
#include <cwchar>

#include "base/utf8.h"

namespace stablelm {
namespace {

// Code points that stand for graphemes of several code points. They must be printable for the C library. Nobody types
// the private ones; the wide ones are compatibility ideographs, which normalisation replaces. One of these in a text
// becomes a cell like any other grapheme, so nothing is lost.
constexpr wchar_t kFirstNarrow = 0x100000, kLastNarrow = 0x10FFFD;
constexpr wchar_t kFirstWide = 0x2F800, kLastWide = 0x2FA1D;

bool IsCell(wchar_t c) { return (c >= kFirstNarrow && c <= kLastNarrow) || (c >= kFirstWide && c <= kLastWide); }

size_t Columns(char32_t c) {
  const int width = wcwidth(static_cast<wchar_t>(c));
  return width > 0 ? static_cast<size_t>(width) : 0;
}

bool IsRegional(char32_t c) { return c >= 0x1F1E6 && c <= 0x1F1FF; }

}  // namespace

Grapheme NextGrapheme(std::string_view text) {
  if (text.empty()) return {};
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (is_ascii(text[0]) && (text.size() == 1 || is_ascii(text[1]))) {
    return {.bytes = 1, .columns = text[0] >= ' ' && text[0] < 0x7F ? size_t{1} : 0};
  }
  utf8::Decoded last = utf8::DecodeOne(text);
  Grapheme grapheme = {.bytes = last.bytes, .columns = Columns(last.code_point)};
  utf8proc_int32_t state = 0;
  while (grapheme.bytes < text.size()) {
    const utf8::Decoded next = utf8::DecodeOne(text.substr(grapheme.bytes));
    if (next.code_point < 0x20 ||
        utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(last.code_point),
                                         static_cast<utf8proc_int32_t>(next.code_point), &state)) {
      break;
    }
    grapheme.bytes += next.bytes;
    const size_t columns = Columns(next.code_point);
    // Two halves of a flag stand side by side where a terminal does not join them.
    grapheme.columns = IsRegional(next.code_point) ? grapheme.columns + columns : std::max(grapheme.columns, columns);
    last = next;
  }
  return grapheme;
}

GraphemeCells::GraphemeCells() : next_narrow_(kFirstNarrow), next_wide_(kFirstWide) {}

wchar_t GraphemeCells::CellOf(std::string_view grapheme, size_t columns) {
  if (const auto found = cells_.find(grapheme); found != cells_.end()) return found->second;
  wchar_t& next = columns >= 2 ? next_wide_ : next_narrow_;
  if (next > (columns >= 2 ? kLastWide : kLastNarrow)) return L'\0';
  cells_.emplace(grapheme, next);
  graphemes_.emplace(next, grapheme);
  return next++;
}

std::wstring GraphemeCells::Encode(std::string_view text) {
  std::wstring cells;
  while (!text.empty()) {
    const Grapheme one = NextGrapheme(text);
    std::string_view grapheme = text.substr(0, one.bytes);
    text.remove_prefix(one.bytes);
    const utf8::Decoded first = utf8::DecodeOne(grapheme);
    const auto code = static_cast<wchar_t>(first.code_point);
    const bool alone = first.bytes == grapheme.size();
    const bool invisible = alone && code >= 0x20 && wcwidth(code) == 0;
    if (!alone || invisible || IsCell(code)) {
      if (const wchar_t cell = CellOf(grapheme, one.columns)) {
        cells += cell;
        continue;
      }
    }
    // A plain character; or no cell is left, and the code points stay apart.
    while (!grapheme.empty()) {
      const utf8::Decoded next = utf8::DecodeOne(grapheme);
      cells += static_cast<wchar_t>(next.code_point);
      grapheme.remove_prefix(next.bytes);
    }
  }
  return cells;
}

std::string GraphemeCells::Decode(std::wstring_view cells) const {
  std::string text;
  for (const wchar_t c : cells) {
    if (const auto found = graphemes_.find(c); found != graphemes_.end()) {
      text += found->second;
    } else {
      utf8::Append(static_cast<char32_t>(c), text);
    }
  }
  return text;
}

bool GraphemeCells::Joins(wchar_t cell, char32_t code_point) const {
  if (code_point < 0x20) return false;
  std::string text = Decode({&cell, 1});
  const size_t before = text.size();
  utf8::Append(code_point, text);
  return NextGrapheme(text).bytes > before;
}

ssize_t GraphemeCells::Write(void* stream, const char* bytes, size_t size) {
  auto& self = *static_cast<GraphemeCells*>(stream);
  std::string out;
  self.pending_.append(bytes, size);
  std::string_view rest = self.pending_;
  while (!rest.empty()) {
    const utf8::Decoded one = utf8::DecodeOne(rest);
    if (one.incomplete) break;
    const auto found = self.graphemes_.find(static_cast<wchar_t>(one.code_point));
    if (one.valid && found != self.graphemes_.end()) {
      // A mark without a letter gets a place to stand on.
      if (NextGrapheme(found->second).columns == 0) out += "\u25CC";
      out += found->second;
    } else {
      out += rest.substr(0, one.bytes);
    }
    rest.remove_prefix(one.bytes);
  }
  self.pending_.erase(0, self.pending_.size() - rest.size());
  for (std::string_view left = out; !left.empty();) {
    const ssize_t n = write(self.fd_, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return 0;
    left.remove_prefix(static_cast<size_t>(n));
  }
  return static_cast<ssize_t>(size);
}

FILE* GraphemeCells::OpenStream(int fd) {
  fd_ = fd;
  return fopencookie(this, "w", {.read = nullptr, .write = &Write, .seek = nullptr, .close = nullptr});
}

}  // namespace stablelm
