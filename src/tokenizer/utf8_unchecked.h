// Unchecked decoding of UTF-8 that was already validated.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stablelm {

// Decodes the code point at p. Sets *bytes to its length (1 to 4).
inline char32_t DecodeValidUtf8(const char* p, size_t* bytes) {
  const auto byte = [p](size_t i) { return static_cast<char32_t>(static_cast<uint8_t>(p[i])); };
  const char32_t lead = byte(0);
  if (lead < 0x80) {
    *bytes = 1;
    return lead;
  }
  if (lead < 0xE0) {
    *bytes = 2;
    return (lead & 0x1F) << 6 | (byte(1) & 0x3F);
  }
  if (lead < 0xF0) {
    *bytes = 3;
    return (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
  }
  *bytes = 4;
  return (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
}

}  // namespace stablelm
