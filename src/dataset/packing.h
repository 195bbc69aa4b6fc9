// Packing: which samples share a sequence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "dataset/clean/spill.h"
#include "dataset/recipe.h"

namespace stablelm {

// Tokens [offset, offset + length) of a sample, a document of its own in the pack: positions start at 0 and attention
// does not cross its borders.
struct PackedDocument {
  uint32_t sample = 0;
  uint32_t offset = 0;
  uint32_t length = 0;
  bool operator==(const PackedDocument&) const = default;
};

struct Packs {
  std::span<const PackedDocument> documents;
  std::span<const uint64_t> begin;     // [packs + 1]: pack p has documents begin[p] .. begin[p + 1] - 1
  std::shared_ptr<const void> memory;  // that both lie in
  uint64_t spilled_bytes = 0;          // of temporary files that were needed
  size_t size() const { return begin.size() - 1; }
  // Tokens over packs * sequence_length.
  double Fill(int64_t sequence_length) const;
};

// 1 <= lengths[i] <= sequence_length; fewer than 2^32 samples. A pure function of its arguments.
//   kPack: whole samples. Each pack starts with the longest sample that is left and is filled up with the lengths whose
//     sum leaves the least room, long ones first. Samples of one length are taken in their order.
//   kNone: one sample a pack.
//   kConcat: the samples, shuffled, back to back and cut every sequence_length tokens; the last pack may be shorter. A
//     document of one token, which can hold no target, is left out.
// The packs are shuffled by `seed` (kConcat: the samples before). `spill`: memory for all arrays together, 40 bytes for
// each sample; beyond it they lie in temporary files.
Packs PackSamples(std::span<const uint32_t> lengths, int64_t sequence_length, Packing packing, uint64_t seed,
                  const SpillOptions& spill = {});

}  // namespace stablelm
