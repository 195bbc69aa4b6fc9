#include "tokenizer/pre_tokenizer.h"

#include <array>
#include <cstdint>

#include "tokenizer/utf8_unchecked.h"

namespace stablelm {
namespace {

using Class = UnicodeTables::Class;

// Classes of the ASCII bytes; kNotAscii for the rest.
constexpr uint8_t kNotAscii = 0xFF;
constexpr std::array<uint8_t, 256> kByteClass = [] {
  std::array<uint8_t, 256> table{};
  for (size_t b = 0; b < 256; ++b) {
    const bool letter = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z');
    const bool digit = b >= '0' && b <= '9';
    const bool space = (b >= 0x09 && b <= 0x0D) || b == ' ';
    table[b] = b >= 0x80 ? kNotAscii
               : letter  ? uint8_t{Class::kLetter}
               : digit   ? uint8_t{Class::kNumber}
               : space   ? uint8_t{Class::kSpace}
                         : uint8_t{Class::kOther};
  }
  return table;
}();

// Class of the code point at p. Sets *bytes to its length.
inline uint8_t ClassAt(const UnicodeTables& tables, const char* p, size_t* bytes) {
  const uint8_t ascii = kByteClass[static_cast<uint8_t>(*p)];
  if (ascii != kNotAscii) {
    *bytes = 1;
    return ascii;
  }
  return tables.ClassOf(DecodeValidUtf8(p, bytes));
}

// Length of the contraction that starts with the apostrophe at p; 0 if there is none.
inline size_t ContractionLength(const char* p, const char* end) {
  if (end - p < 2) return 0;
  switch (p[1]) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return end - p >= 3 && p[2] == 'e' ? 3 : 0;
    case 'l':
      return end - p >= 3 && p[2] == 'l' ? 3 : 0;
    default:
      return 0;
  }
}

}  // namespace

size_t PieceEnd(const UnicodeTables& tables, std::string_view text, size_t begin) {
  const char* const start = text.data() + begin;
  const char* const end = text.data() + text.size();
  const char* p = start;
  if (*p == '\'') {
    if (const size_t n = ContractionLength(p, end); n != 0) return begin + n;
  }
  if (*p == ' ' && p + 1 != end) ++p;  // one leading space belongs to the following word
  size_t bytes;
  const uint8_t wanted = ClassAt(tables, p, &bytes);
  if (wanted != Class::kSpace) {
    p += bytes;
    while (p != end && ClassAt(tables, p, &bytes) == wanted) p += bytes;
    return begin + static_cast<size_t>(p - start);
  }
  // White space: the whole run at the end of the text; otherwise all but its last character, which starts the next
  // piece.
  p = start;
  const char* last = start;
  while (p != end && ClassAt(tables, p, &bytes) == Class::kSpace) {
    last = p;
    p += bytes;
  }
  if (p != end && last != start) p = last;
  return begin + static_cast<size_t>(p - start);
}

}  // namespace stablelm
