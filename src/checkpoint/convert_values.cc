#include "checkpoint/convert_values.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "ops/convert.h"

namespace stablelm {
namespace {

constexpr size_t kPiece = 4096;  // floats on the stack, which stay in the first-level cache

}  // namespace

void ConvertValues(const std::byte* from, DType from_type, std::byte* to, DType to_type, size_t n) {
  const size_t from_size = BytesOf(from_type), to_size = BytesOf(to_type);
  if (from_type == to_type) {
    if (n > 0) std::memcpy(to, from, n * to_size);
    return;
  }
  alignas(64) std::array<float, kPiece> floats;
  for (size_t begin = 0; begin < n; begin += kPiece) {
    const size_t count = std::min(kPiece, n - begin);
    ConvertToFloat(from_type, from + begin * from_size, count, floats.data());
    ConvertFromFloat(floats.data(), count, to_type, to + begin * to_size);
  }
}

size_t FirstNonFiniteValue(const std::byte* values, DType type, size_t n) {
  alignas(64) std::array<float, kPiece> floats;
  for (size_t begin = 0; begin < n; begin += kPiece) {
    const size_t count = std::min(kPiece, n - begin);
    ConvertToFloat(type, values + begin * BytesOf(type), count, floats.data());
    if (const size_t bad = FirstNonFinite(floats.data(), count); bad < count) return begin + bad;
  }
  return n;
}

}  // namespace stablelm
