// UTF-8: strict decoding, validation and repair. Ill-formed input is handled per maximal subpart, as in the Unicode
// standard (3.9, "U+FFFD substitution of maximal subparts") and by the WHATWG.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace stablelm::utf8 {

struct Decoded {
  char32_t code_point = 0xFFFD;  // U+FFFD when not valid
  size_t bytes = 0;  // length of the sequence, or of the maximal ill-formed subpart (>= 1 unless text is empty)
  bool valid = false;
  bool incomplete = false;  // invalid only because the text ends: more bytes could complete it
};

// Decodes the first code point of `text`; an empty text gives bytes == 0.
Decoded DecodeOne(std::string_view text);

inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
// Drops the byte order mark that some programs write before a text.
inline void DropByteOrderMark(std::string_view& text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
}

inline constexpr size_t kValid = static_cast<size_t>(-1);
// Offset of the first ill-formed byte, or kValid.
size_t FirstInvalid(std::string_view text);

// Replaces each maximal ill-formed subpart by U+FFFD (EF BF BD).
std::string ReplaceInvalid(std::string_view text);

void Append(char32_t code_point, std::string& out);

}  // namespace stablelm::utf8
