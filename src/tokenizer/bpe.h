// Byte-pair encoding of one piece of text: repeatedly merges the adjacent pair with the lowest rank (the leftmost of
// equal ranks) until no adjacent pair has a rank.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace stablelm {

struct BpeMerge {
  int32_t left = 0;
  int32_t right = 0;
  int32_t product = 0;
};

// Scratch memory of Bpe::Encode, reused between calls (one per thread). `merges` counts merges, `queued` counts queue
// insertions: tests check with them that the work is O(n log n).
struct BpeScratch {
  struct Candidate {
    uint32_t rank;
    uint32_t position;
  };
  struct Symbol {
    int32_t id;
    uint32_t rank;  // of the pair with the next symbol; kNoRank when there is none
    uint32_t previous;
    uint32_t next;
  };
  std::vector<Candidate> heap;
  std::vector<Symbol> symbols;
  std::vector<int32_t> window;            // ids of a part of a very long piece
  size_t window_bytes = size_t{1} << 20;  // of such a part: about 30 bytes of memory for each
  uint64_t merges = 0;
  uint64_t queued = 0;
};

// Immutable, shared by threads.
class Bpe {
 public:
  static constexpr uint32_t kNoRank = UINT32_MAX;

  Bpe() = default;
  // byte_ids[b]: the token of the single byte b, -1 if the vocabulary has none. `merges` is in order of rank. If a pair
  // occurs twice, the later rank counts (as in huggingface/tokenizers).
  Bpe(const std::array<int32_t, 256>& byte_ids, std::span<const BpeMerge> merges);

  // Appends the ids of `piece` to `out`. Every byte of it must have a token. O(n log n). Throws Error for pieces of
  // 4 GiB or more.
  void Encode(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& out) const;

  int32_t IdOfByte(uint8_t byte) const { return byte_ids_[byte]; }

 private:
  // Up to this many bytes, a linear search for the lowest rank beats the priority queue (measured on English and code).
  static constexpr size_t kSmall = 48;

  struct Slot {
    uint64_t pair = kFree;  // left << 32 | right
    uint32_t rank = kNoRank;
    int32_t product = -1;
  };
  static constexpr uint64_t kFree = UINT64_MAX;

  static uint64_t PairOf(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  size_t FirstSlot(uint64_t pair) const { return (pair * 0x9E3779B97F4A7C15ull) >> shift_; }
  const Slot& Find(int32_t left, int32_t right) const {
    const uint64_t pair = PairOf(left, right);
    size_t i = FirstSlot(pair);
    while (slots_[i].pair != pair && slots_[i].pair != kFree) i = (i + 1) & mask_;
    return slots_[i];  // a free slot has kNoRank
  }
  void EncodeSmall(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& out) const;
  void EncodeLong(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& out) const;
  bool EncodeInWindows(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& out) const;
  void MeasureTokens(std::span<const BpeMerge> merges);

  std::array<int32_t, 256> byte_ids_{};
  std::vector<Slot> slots_ = std::vector<Slot>(2);  // open addressing, at most half full
  std::vector<int32_t> products_;                   // by rank
  std::vector<uint32_t> bytes_;                     // of each id in merges; 0: not known
  bool divisible_ = true;                           // the lengths of all products are known
  size_t mask_ = 1;
  int shift_ = 63;
};

}  // namespace stablelm
