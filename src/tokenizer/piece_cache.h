// Caches the ids of short pieces of text. Exact: compares whole pieces, not only hashes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace stablelm {

// Not thread-safe. Direct-mapped: one entry per hash value, replaced by each new piece. Grows from 16 KiB to 1 MiB.
class PieceCache {
 public:
  static constexpr size_t kMaxBytes = 15;
  static constexpr size_t kMaxIds = 3;

  // The bytes and the length of a piece of at most kMaxBytes.
  struct Key {
    uint64_t low = 0;
    uint64_t high = 0;
    bool operator==(const Key&) const = default;
  };
  struct Entry {
    Key key;  // all zero: empty entry (no key has length 0)
    std::array<int32_t, kMaxIds> ids{};
    uint32_t count = 0;
  };

  PieceCache() : entries_(kSmallest), shift_(64 - kSmallestBits) {}

  // `readable`: number of bytes up to the end of the text, at least `size`; all of them may be read.
  static Key MakeKey(const char* piece, size_t size, size_t readable) {
    uint64_t words[2] = {0, 0};
    if (readable >= 16) {
      std::memcpy(words, piece, 16);
      // Clear the bytes after the piece.
      if (size >= 8) {
        words[1] &= ~(~uint64_t{0} << (8 * (size - 8)));
      } else {
        words[0] &= ~(~uint64_t{0} << (8 * size));
        words[1] = 0;
      }
    } else {
      std::memcpy(words, piece, size);
    }
    return {words[0], words[1] | uint64_t{size} << 56};
  }

  Entry& EntryOf(const Key& key) {
    const uint64_t h = (key.low ^ (key.high * 0x9E3779B97F4A7C15ull)) * 0xD6E8FEB86659FD93ull;
    return entries_[(h ^ h << 32) >> shift_];
  }

  // Call after a miss. Pieces with more than kMaxIds ids are not cached.
  void Insert(const Key& key, const int32_t* ids, size_t count) {
    if (count > kMaxIds) return;
    if (++inserted_ > entries_.size() && shift_ > 64 - kLargestBits) Grow();
    Entry& entry = EntryOf(key);
    entry.key = key;
    std::memcpy(entry.ids.data(), ids, count * sizeof(int32_t));
    entry.count = static_cast<uint32_t>(count);
  }

 private:
  static constexpr int kSmallestBits = 9;
  static constexpr int kLargestBits = 15;
  static constexpr size_t kSmallest = size_t{1} << kSmallestBits;

  void Grow() {
    shift_ -= 2;
    std::vector<Entry> old = std::exchange(entries_, std::vector<Entry>(entries_.size() * 4));
    for (const Entry& entry : old) {
      if (entry.count != 0) EntryOf(entry.key) = entry;
    }
    inserted_ = 0;
  }

  std::vector<Entry> entries_;
  int shift_;
  size_t inserted_ = 0;
};

}  // namespace stablelm
