#include "dataset/rows/trimmed.h"

#include "base/utf8.h"
#include "tokenizer/unicode_tables.h"

namespace stablelm {

std::string_view Trimmed(std::string_view text) {
  const auto is_space = [](char32_t c) { return UnicodeTables::IsSpace(c) || c == 0x200B || c == 0xFEFF; };
  while (!text.empty()) {
    const utf8::Decoded first = utf8::DecodeOne(text);
    if (!is_space(first.code_point)) break;
    text.remove_prefix(first.bytes);
  }
  while (!text.empty()) {
    size_t last = text.size() - 1;
    while (last > 0 && (text[last] & 0xC0) == 0x80) --last;
    if (!is_space(utf8::DecodeOne(text.substr(last)).code_point)) break;
    text = text.substr(0, last);
  }
  return text;
}

}  // namespace stablelm
