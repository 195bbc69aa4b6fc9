#include "base/random.h"

#include <random>

namespace stablelm {

uint64_t RandomSeed() {
  std::random_device device;
  // 53 bits: a JSON reader that stores numbers as doubles keeps the seed exact.
  return ((uint64_t{device()} << 32) | device()) & ((uint64_t{1} << 53) - 1);
}

}  // namespace stablelm
