#include "ops/random/dropout.h"
#include "base/random.h"

namespace stablelm {

void DropoutRef(const DropoutInput& in) {
  const Philox philox(in.seed);
  const auto threshold = static_cast<uint32_t>(in.rate * 0x1p32);
  const auto scale = static_cast<float>(1 / (1 - in.rate));
  const size_t blocks = (in.width + 63) / 64;
  for (size_t r = 0; r < in.rows; ++r) {
    for (size_t c = 0; c < in.width; ++c) {
      const uint64_t counter = ((in.first_row + r) * blocks + c / 64) * 16 + c % 16;
      const bool kept = philox.Block(in.stream, counter)[c % 64 / 16] >= threshold;
      const size_t i = r * in.width + c;
      const float value = kept ? in.x[i] * scale : 0.0f;
      in.y[i] = in.add ? in.y[i] + value : value;
    }
  }
}

}  // namespace stablelm
