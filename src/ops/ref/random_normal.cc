#include <bit>
#include <cmath>

#include "base/random.h"
#include "ops/random/random_normal.h"
#include "ops/random/random_normal_constants.h"

namespace stablelm {
namespace {

float Log(float u) {
  using namespace normal;
  const uint32_t bits = std::bit_cast<uint32_t>(u);
  const int32_t exponent = static_cast<int32_t>(bits - kSqrtHalfBits) >> 23;
  const float x = std::bit_cast<float>(bits - (static_cast<uint32_t>(exponent) << 23)) - 1.0f;
  const float e = static_cast<float>(exponent);
  const float z = x * x;
  float p = kLog[0];
  for (int i = 1; i < 9; ++i) p = p * x + kLog[i];
  p = p * x * z;
  p = p + e * kLn2Low;
  p = p - 0.5f * z;
  return (x + p) + e * kLn2High;
}

}  // namespace

std::array<float, 2> NormalPairRef(uint32_t radius_word, uint32_t angle_word, float scale) {
  using namespace normal;
  const float u = (static_cast<float>(static_cast<int32_t>(radius_word >> 8)) + 0.5f) * kUnit;
  const float radius = std::sqrt(Log(u) * -2.0f) * scale;

  const float angle = (static_cast<float>(static_cast<int32_t>(angle_word) >> 8) + 0.5f) * kAngle;
  const float z = angle * angle;
  const float sine = ((kSin[0] * z + kSin[1]) * z + kSin[2]) * z * angle + angle;
  float cosine = ((kCos[0] * z + kCos[1]) * z + kCos[2]) * (z * z) - 0.5f * z + 1.0f;
  cosine = std::bit_cast<float>(std::bit_cast<uint32_t>(cosine) ^ ((angle_word << 30) & 0x80000000u));
  if (angle_word & 1) return {radius * sine, radius * cosine};
  return {radius * cosine, radius * sine};
}

void FillNormalRef(uint64_t key, uint64_t stream, uint64_t first_block, float scale, float* out, size_t n) {
  const Philox philox(key);
  constexpr size_t kLanes = kNormalBlock / 4;
  for (size_t begin = 0; begin < n; begin += kNormalBlock) {
    const uint64_t block = first_block + begin / kNormalBlock;
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const auto words = philox.Block(stream, block * kLanes + lane);
      const auto a = NormalPairRef(words[0], words[1], scale), b = NormalPairRef(words[2], words[3], scale);
      const float numbers[4] = {a[0], a[1], b[0], b[1]};
      for (size_t k = 0; k < 4; ++k) {
        const size_t i = begin + k * kLanes + lane;
        if (i < n) out[i] = numbers[k];
      }
    }
  }
}

}  // namespace stablelm
