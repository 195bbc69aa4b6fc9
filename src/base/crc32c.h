// CRC-32C (Castagnoli, RFC 3720), as TFRecord files use it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace stablelm {

namespace crc32c_internal {
inline constexpr auto kTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78u : crc >> 1;
    table[i] = crc;
  }
  return table;
}();
}  // namespace crc32c_internal

constexpr uint32_t Crc32c(std::string_view bytes) {
  uint32_t crc = ~uint32_t{0};
  for (const char c : bytes) crc = crc32c_internal::kTable[(crc ^ static_cast<uint8_t>(c)) & 0xFF] ^ (crc >> 8);
  return ~crc;
}
static_assert(Crc32c("123456789") == 0xE3069283u);

}  // namespace stablelm
