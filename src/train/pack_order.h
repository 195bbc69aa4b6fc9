// The order in which a run goes through its packs: a permutation of them for each epoch, by a key. A position of the
// run is one number, and what lies there is known without going through the positions before: a run resumes anywhere.
#pragma once

#include <cstdint>

namespace stablelm {

// Immutable; a pure function of its arguments.
//
// The permutation is a Feistel network (Luby and Rackoff, "How to construct pseudorandom permutations from pseudorandom
// functions", 1988) of six rounds whose function is Philox (base/random.h), keyed by seed and epoch, over the smallest
// power of four that holds all packs; values beyond them are permuted again until they fall on one (cycle walking).
class PackOrder {
 public:
  // At least one pack, at most 2^62.
  PackOrder(uint64_t packs, uint64_t seed);

  uint64_t packs() const { return packs_; }
  // Position 0 is the run's first pack; epoch e holds the positions e * packs() to (e + 1) * packs() - 1, each pack
  // once.
  uint64_t EpochOf(uint64_t position) const { return position / packs_; }
  uint64_t At(uint64_t position) const;

 private:
  uint64_t Permuted(uint64_t value, uint64_t epoch) const;

  uint64_t packs_;
  uint64_t seed_;
  unsigned half_bits_;  // of each half of the network
};

}  // namespace stablelm
