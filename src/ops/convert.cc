#include "ops/convert.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "ops/finite.h"
#include "ops/quant/blocks.h"
#include "ops/quant/quant_row.h"

namespace stablelm {
namespace {

constexpr size_t kPiece = 4096;  // floats on the stack; they stay in the L1 cache

static_assert(kPiece % kSuperBlock == 0);

size_t Bytes(DType type, size_t n) { return BytesOf(type, static_cast<int64_t>(n)); }

// The values [begin, begin + count) as fp32.
void ToFloats(const std::byte* values, DType type, size_t begin, size_t count, float* floats) {
  const std::byte* from = values + Bytes(type, begin);
  if (IsQuantized(type)) {
    DecodeRow(type, from, {floats, count});
  } else {
    ConvertToFloat(type, from, count, floats);
  }
}

}  // namespace

void ConvertValues(const std::byte* from, DType from_type, std::byte* to, DType to_type, size_t n) {
  if (from_type == to_type) {
    if (n > 0) std::memcpy(to, from, Bytes(to_type, n));
    return;
  }
  alignas(64) std::array<float, kPiece> floats;
  for (size_t begin = 0; begin < n; begin += kPiece) {
    const size_t count = std::min(kPiece, n - begin);
    ToFloats(from, from_type, begin, count, floats.data());
    ConvertFromFloat(floats.data(), count, to_type, to + Bytes(to_type, begin));
  }
}

size_t FirstNonFiniteValue(const std::byte* values, DType type, size_t n) {
  alignas(64) std::array<float, kPiece> floats;
  for (size_t begin = 0; begin < n; begin += kPiece) {
    const size_t count = std::min(kPiece, n - begin);
    ToFloats(values, type, begin, count, floats.data());
    if (const size_t bad = FirstNonFinite(floats.data(), count); bad < count) return begin + bad;
  }
  return n;
}

}  // namespace stablelm
