#include "base/utf8.h"

#include <cstdint>
#include <cstring>

namespace stablelm::utf8 {

Decoded DecodeOne(std::string_view text) {
  Decoded d;
  if (text.empty()) return d;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  d.bytes = 1;
  if (lead < 0x80) return {lead, 1, true, false};
  // Allowed range of the second byte: excludes overlong forms, surrogates and values above U+10FFFF.
  uint8_t low = 0x80, high = 0xBF;
  size_t length = 0;
  char32_t value = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
    value = lead & 0x1Fu;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    value = lead & 0x0Fu;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    value = lead & 0x07u;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return d;
  }
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size()) {
      d.incomplete = true;
      return d;
    }
    const uint8_t c = byte(i);
    if (c < low || c > high) return d;
    low = 0x80;
    high = 0xBF;
    value = (value << 6) | (c & 0x3Fu);
    d.bytes = i + 1;
  }
  return {value, length, true, false};
}

size_t FirstInvalid(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    // Eight ASCII bytes at a time: most text is mostly ASCII.
    while (i + 8 <= text.size()) {
      uint64_t word;
      std::memcpy(&word, text.data() + i, 8);
      if (word & 0x8080808080808080ull) break;
      i += 8;
    }
    if (i == text.size()) break;
    const Decoded d = DecodeOne(text.substr(i));
    if (!d.valid) return i;
    i += d.bytes;
  }
  return kValid;
}

std::string ReplaceInvalid(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t bad = FirstInvalid(text);
    out.append(text.substr(0, bad));
    if (bad == kValid) break;
    text.remove_prefix(bad);
    out += "\xEF\xBF\xBD";
    text.remove_prefix(DecodeOne(text).bytes);
  }
  return out;
}

void Append(char32_t c, std::string& out) {
  const auto put = [&](char32_t v) { out += static_cast<char>(static_cast<uint8_t>(v)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | (c >> 6));
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3F));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

}  // namespace stablelm::utf8
