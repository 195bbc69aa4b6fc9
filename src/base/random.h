// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// A random number is a pure function of (key, counter). There is no state, so the numbers do not depend on how work is
// split over threads.
#pragma once

#include <array>
#include <cstdint>

namespace stablelm {

class Philox {
 public:
  explicit Philox(uint64_t key) : key_{static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)} {}

  // Four 32-bit words for the 128-bit counter (stream, index).
  std::array<uint32_t, 4> Block(uint64_t stream, uint64_t index) const {
    std::array<uint32_t, 4> c = {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                                 static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)};
    uint32_t k0 = key_[0], k1 = key_[1];
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * c[0];
      const uint64_t p1 = uint64_t{0xCD9E8D57u} * c[2];
      c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
           static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return c;
  }

  // Uniform in [0, 1) with 53 random bits.
  double Uniform(uint64_t stream, uint64_t index) const {
    const auto w = Block(stream, index);
    return static_cast<double>(((uint64_t{w[0]} << 32) | w[1]) >> 11) * 0x1p-53;
  }

 private:
  std::array<uint32_t, 2> key_;
};

// A seed from the system's entropy source, for runs without a seed from the user.
uint64_t RandomSeed();

}  // namespace stablelm
