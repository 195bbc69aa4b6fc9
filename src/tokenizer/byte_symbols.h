// GPT-2's mapping of bytes to printable characters, in which a byte-level vocabulary spells its tokens.
//
// Bytes 33-126, 161-172 and 174-255 map to the code point of the same value; the other 68, in ascending order, map to
// U+0100 + n. So a space is U+0120, a newline U+010A.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace stablelm {

// Code point of each byte.
constexpr std::array<uint16_t, 256> kSymbolOfByte = [] {
  std::array<uint16_t, 256> table{};
  uint16_t next = 0x100;
  for (uint16_t b = 0; b < 256; ++b) {
    const bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174);
    table[b] = itself ? b : next++;
  }
  return table;
}();
constexpr uint16_t kSymbolEnd = 0x100 + 68;

// Byte of each code point, or -1 if the code point is not a byte symbol.
constexpr std::array<int16_t, kSymbolEnd> kByteOfSymbol = [] {
  std::array<int16_t, kSymbolEnd> table{};
  for (int16_t& entry : table) entry = -1;
  for (size_t b = 0; b < 256; ++b) table[kSymbolOfByte[b]] = static_cast<int16_t>(b);
  return table;
}();

// Appends the bytes that `spelling` (valid UTF-8) encodes. If any character is not a byte symbol, appends `spelling`
// itself.
void AppendSpelledBytes(std::string_view spelling, std::string& out);
// The byte symbols of `bytes`, as UTF-8.
std::string SpellBytes(std::string_view bytes);

}  // namespace stablelm
