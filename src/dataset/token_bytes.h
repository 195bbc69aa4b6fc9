// Token ids and target bits as bytes: ids little-endian in 2 or 4 bytes, bits from the lowest of each byte.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace stablelm {

static_assert(std::endian::native == std::endian::little);

// Writes ids.size() * id_bytes bytes.
inline void PutIds(std::span<const int32_t> ids, size_t id_bytes, std::byte* out) {
  if (id_bytes == 4) {
    std::memcpy(out, ids.data(), ids.size_bytes());
    return;
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto id = static_cast<uint16_t>(ids[i]);
    std::memcpy(out + 2 * i, &id, 2);
  }
}

inline void GetIds(const std::byte* bytes, size_t id_bytes, std::span<int32_t> ids) {
  if (id_bytes == 4) {
    std::memcpy(ids.data(), bytes, ids.size_bytes());
    return;
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    uint16_t id;
    std::memcpy(&id, bytes + 2 * i, 2);
    ids[i] = id;
  }
}

// Bits [first, first + values.size()) of `bits`, which are 0 before.
inline void PutBits(std::span<const uint8_t> values, uint64_t first, std::byte* bits) {
  size_t i = 0;
  for (; i < values.size() && (first + i) % 8 != 0; ++i) {
    bits[(first + i) / 8] |= static_cast<std::byte>(values[i] << ((first + i) % 8));
  }
  for (; i + 8 <= values.size(); i += 8) {
    unsigned byte = 0;
    for (size_t b = 0; b < 8; ++b) byte |= static_cast<unsigned>(values[i + b]) << b;
    bits[(first + i) / 8] = static_cast<std::byte>(byte);
  }
  for (; i < values.size(); ++i) bits[(first + i) / 8] |= static_cast<std::byte>(values[i] << ((first + i) % 8));
}

inline void GetBits(const std::byte* bits, uint64_t first, std::span<uint8_t> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = (std::to_integer<unsigned>(bits[(first + i) / 8]) >> ((first + i) % 8)) & 1;
  }
}

}  // namespace stablelm
