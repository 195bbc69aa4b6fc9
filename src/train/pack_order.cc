#include "train/pack_order.h"

#include <bit>

#include "base/error.h"
#include "base/random.h"

namespace stablelm {
namespace {

constexpr unsigned kRounds = 6;
constexpr uint64_t kStream = uint64_t{0x6f72646572} << 24;  // of the seed's random numbers: "order", then the round

}  // namespace

PackOrder::PackOrder(uint64_t packs, uint64_t seed) : packs_(packs), seed_(seed) {
  STABLELM_CHECK(packs >= 1 && packs <= uint64_t{1} << 62);
  const unsigned bits = packs == 1 ? 0 : static_cast<unsigned>(std::bit_width(packs - 1));
  half_bits_ = (bits + 1) / 2;
}

uint64_t PackOrder::Permuted(uint64_t value, uint64_t epoch) const {
  const Philox random(seed_);
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t left = value >> half_bits_, right = value & mask;
  for (unsigned round = 0; round < kRounds; ++round) {
    // The epoch stands above the bits of a half: no counter occurs twice in a round.
    const auto words = random.Block(kStream + round, (epoch << 32) ^ right);
    const uint64_t word = (uint64_t{words[1]} << 32) | words[0];
    const uint64_t next = left ^ (word & mask);
    left = right;
    right = next;
  }
  return (left << half_bits_) | right;
}

uint64_t PackOrder::At(uint64_t position) const {
  const uint64_t epoch = EpochOf(position);
  uint64_t value = position % packs_;
  do {
    value = Permuted(value, epoch);
  } while (value >= packs_);
  return value;
}

}  // namespace stablelm
