#include "dataset/packing.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/random.h"

namespace stablelm {
namespace {

constexpr uint64_t kShuffleStream = 0x7061636b;  // of the seed's random numbers

constexpr size_t kArrays = 6;  // that share the budget

// A permutation of [0, n): Fisher and Yates' shuffle.
ScratchNumbers Shuffled(size_t n, uint64_t seed, const SpillOptions& part) {
  ScratchNumbers order(n, part);
  for (size_t i = 0; i < n; ++i) order[i] = static_cast<uint32_t>(i);
  const Philox random(seed);
  for (size_t i = n; i > 1; --i) {
    const auto words = random.Block(kShuffleStream, i);
    const uint64_t word = (uint64_t{words[0]} << 32) | words[1];
    const auto j = static_cast<size_t>((static_cast<unsigned __int128>(word) * i) >> 64);
    std::swap(order[i - 1], order[j]);
  }
  return order;
}

// Packs in the order in which they are added.
class PackList {
 public:
  explicit PackList(const SpillOptions& part) : documents_(part), begin_(part) { begin_.Append(0); }
  void AddDocument(const PackedDocument& document) { documents_.Append(document); }
  void AddPack(std::span<const PackedDocument> documents) {
    documents_.Append(documents);
    EndPack();
  }
  void EndPack() {
    begin_.Append(documents_.size());
    ended_ = documents_.size();
  }
  bool open() const { return documents_.size() > ended_; }  // a pack has documents and did not end

  static Packs Sealed(PackList&& list) {
    auto memory = std::make_shared<PackList>(std::move(list));
    const std::span<const PackedDocument> documents = memory->documents_.Values();
    const std::span<const uint64_t> begin = memory->begin_.Values();
    const uint64_t spilled = memory->documents_.spilled_bytes() + memory->begin_.spilled_bytes();
    return {.documents = documents, .begin = begin, .memory = std::move(memory), .spilled_bytes = spilled};
  }

 private:
  SpillVector<PackedDocument> documents_;
  SpillVector<uint64_t> begin_;
  uint64_t ended_ = 0;
};

// How many samples of each length are left, and which sums they make.
class Lengths {
 public:
  explicit Lengths(size_t longest) : count_(longest + 1), from_(longest + 1), used_(longest + 1) {}
  void Add(uint32_t length) { ++count_[length]; }
  uint64_t count(size_t length) const { return count_[length]; }
  void Take(size_t length, uint64_t times) { count_[length] -= times; }

  // The lengths, with repetitions, whose sum is largest without exceeding `room`.
  void BestFill(size_t room, std::vector<uint32_t>& fill) {
    fill.clear();
    if (Single(room, fill) || Pair(room, fill)) return;
    Sums(room, fill);
  }

 private:
  bool Single(size_t room, std::vector<uint32_t>& fill) const {
    if (room == 0) return true;
    if (count_[room] == 0) return false;
    fill.push_back(static_cast<uint32_t>(room));
    return true;
  }
  bool Pair(size_t room, std::vector<uint32_t>& fill) const {
    for (size_t one = room - 1; 2 * one >= room && one > 0; --one) {
      const size_t other = room - one;
      if (count_[one] == 0 || count_[other] == 0 || (one == other && count_[one] < 2)) continue;
      fill = {static_cast<uint32_t>(one), static_cast<uint32_t>(other)};
      return true;
    }
    return false;
  }
  // Sums of bounded multiples: from_[s] is the length that first made the sum s, and used_[s] how many of it are in s.
  void Sums(size_t room, std::vector<uint32_t>& fill) {
    std::fill_n(from_.begin(), room + 1, 0U);
    for (size_t length = room; length > 0 && from_[room] == 0; --length) {
      if (count_[length] == 0) continue;
      std::fill_n(used_.begin(), room + 1, 0U);
      for (size_t sum = length; sum <= room; ++sum) {
        const size_t rest = sum - length;
        if (from_[sum] != 0 || (rest != 0 && from_[rest] == 0) || used_[rest] >= count_[length]) continue;
        from_[sum] = static_cast<uint32_t>(length);
        used_[sum] = used_[rest] + 1;
      }
    }
    size_t sum = room;
    while (sum > 0 && from_[sum] == 0) --sum;
    for (; sum > 0; sum -= from_[sum]) fill.push_back(from_[sum]);
  }

  std::vector<uint64_t> count_;
  std::vector<uint32_t> from_, used_;
};

PackList Pack(std::span<const uint32_t> lengths, int64_t sequence_length, const SpillOptions& part) {
  const auto room = static_cast<size_t>(sequence_length);
  // Samples by length: those of length l are by_length[next[l]] ... in their order.
  std::vector<uint64_t> next(room + 2);
  Lengths left(room);
  for (const uint32_t length : lengths) {
    STABLELM_CHECK(length >= 1 && length <= room);
    ++next[length + 1];
    left.Add(length);
  }
  std::partial_sum(next.begin(), next.end(), next.begin());
  ScratchNumbers by_length(lengths.size(), part);
  {
    std::vector<uint64_t> at = next;
    for (size_t i = 0; i < lengths.size(); ++i) by_length[at[lengths[i]]++] = static_cast<uint32_t>(i);
  }
  PackList packs(part);
  std::vector<PackedDocument> pack;
  std::vector<uint32_t> pattern;
  for (size_t longest = room; longest > 0;) {
    if (left.count(longest) == 0) {
      --longest;
      continue;
    }
    left.Take(longest, 1);
    left.BestFill(room - longest, pattern);
    left.Take(longest, static_cast<uint64_t>(-1));  // back
    pattern.push_back(static_cast<uint32_t>(longest));
    std::sort(pattern.begin(), pattern.end(), std::greater<>());
    // The same pattern again, as often as there are samples for it.
    uint64_t times = lengths.size();
    for (size_t i = 0, end = 0; i < pattern.size(); i = end) {
      while (end < pattern.size() && pattern[end] == pattern[i]) ++end;
      times = std::min(times, left.count(pattern[i]) / (end - i));
    }
    for (const uint32_t length : pattern) left.Take(length, times);
    for (uint64_t t = 0; t < times; ++t) {
      pack.clear();
      for (const uint32_t length : pattern) {
        pack.push_back({.sample = by_length[next[length]++], .offset = 0, .length = length});
      }
      std::sort(pack.begin(), pack.end(),
                [](const PackedDocument& a, const PackedDocument& b) { return a.sample < b.sample; });
      packs.AddPack(pack);
    }
  }
  return packs;
}

PackList Concatenate(std::span<const uint32_t> lengths, int64_t sequence_length, uint64_t seed,
                     const SpillOptions& part) {
  const auto room = static_cast<uint32_t>(sequence_length);
  PackList packs(part);
  uint32_t filled = 0;
  const ScratchNumbers order = Shuffled(lengths.size(), seed, part);
  for (size_t i = 0; i < order.size(); ++i) {
    const uint32_t sample = order[i];
    for (uint32_t offset = 0; offset < lengths[sample];) {
      const uint32_t length = std::min(lengths[sample] - offset, room - filled);
      if (length > 1) packs.AddDocument({.sample = sample, .offset = offset, .length = length});
      offset += length;
      filled += length > 1 ? length : 0;
      if (filled == room || (length == 1 && offset < lengths[sample])) {
        packs.EndPack();
        filled = 0;
      }
    }
  }
  if (packs.open()) packs.EndPack();
  return packs;
}

PackList Reordered(PackList&& list, uint64_t seed, const SpillOptions& part) {
  const Packs packs = PackList::Sealed(std::move(list));
  const ScratchNumbers order = Shuffled(packs.size(), seed, part);
  PackList result(part);
  for (size_t i = 0; i < order.size(); ++i) {
    const uint64_t begin = packs.begin[order[i]];
    result.AddPack(packs.documents.subspan(begin, packs.begin[order[i] + 1] - begin));
  }
  return result;
}

}  // namespace

double Packs::Fill(int64_t sequence_length) const {
  uint64_t tokens = 0;
  for (const PackedDocument& document : documents) tokens += document.length;
  return size() == 0
             ? 0
             : static_cast<double>(tokens) / (static_cast<double>(size()) * static_cast<double>(sequence_length));
}

Packs PackSamples(std::span<const uint32_t> lengths, int64_t sequence_length, Packing packing, uint64_t seed,
                  const SpillOptions& spill) {
  STABLELM_CHECK(lengths.size() < (uint64_t{1} << 32));
  const SpillOptions part = spill.Share(kArrays);
  switch (packing) {
    case Packing::kConcat:
      return PackList::Sealed(Concatenate(lengths, sequence_length, seed, part));
    case Packing::kPack:
      return PackList::Sealed(Reordered(Pack(lengths, sequence_length, part), seed, part));
    case Packing::kNone: {
      PackList packs(part);
      for (size_t i = 0; i < lengths.size(); ++i) {
        packs.AddDocument({.sample = static_cast<uint32_t>(i), .offset = 0, .length = lengths[i]});
        packs.EndPack();
      }
      return PackList::Sealed(Reordered(std::move(packs), seed, part));
    }
  }
  STABLELM_CHECK(false);
}

}  // namespace stablelm
