#include "tokenizer/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "tokenizer/test_support.h"

namespace stablelm {
namespace {

std::array<int32_t, 256> Bytes() {
  std::array<int32_t, 256> ids;
  for (int32_t b = 0; b < 256; ++b) ids[static_cast<size_t>(b)] = b;
  return ids;
}

// Reference: merges one pair at a time, lowest rank first, the leftmost of equals.
std::vector<int32_t> Slow(const std::vector<BpeMerge>& merges, std::string_view piece) {
  std::map<std::pair<int32_t, int32_t>, size_t> ranks;
  for (size_t r = 0; r < merges.size(); ++r) ranks[{merges[r].left, merges[r].right}] = r;
  std::vector<int32_t> ids;
  for (const char c : piece) ids.push_back(static_cast<uint8_t>(c));
  while (true) {
    size_t best = merges.size(), at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = ranks.find({ids[i], ids[i + 1]});
      if (found != ranks.end() && found->second < best) {
        best = found->second;
        at = i;
      }
    }
    if (best == merges.size()) return ids;
    ids[at] = merges[best].product;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

std::vector<int32_t> Encode(const Bpe& bpe, std::string_view piece) {
  BpeScratch scratch;
  std::vector<int32_t> out;
  bpe.Encode(piece, scratch, out);
  return out;
}

// Random merges over the alphabet a to d, each of two existing tokens.
std::vector<BpeMerge> RandomMerges(TestRandom& random, size_t count) {
  std::vector<int32_t> tokens = {'a', 'b', 'c', 'd'};
  std::map<std::pair<int32_t, int32_t>, bool> used;
  std::vector<BpeMerge> merges;
  for (int32_t next = 256; merges.size() < count; ++next) {
    const int32_t left = tokens[random.Below(tokens.size())], right = tokens[random.Below(tokens.size())];
    if (used.emplace(std::pair(left, right), true).second) {
      merges.push_back({left, right, next});
      tokens.push_back(next);
    }
  }
  return merges;
}

TEST(Bpe, EqualsTheDefinitionForShortAndLongPieces) {
  TestRandom random(3);
  for (int round = 0; round < 60; ++round) {
    const std::vector<BpeMerge> merges = RandomMerges(random, 1 + random.Below(60));
    const Bpe bpe(Bytes(), merges);
    // Sizes around the boundary between the two implementations, and well beyond it.
    for (const size_t size :
         std::initializer_list<size_t>{0, 1, 2, 3, 7, 15, 16, 31, 32, 33, 47, 48, 49, 64, 65, 200}) {
      std::string piece;
      for (size_t i = 0; i < size; ++i) piece += static_cast<char>('a' + static_cast<char>(random.Below(4)));
      ASSERT_EQ(Encode(bpe, piece), Slow(merges, piece)) << piece;
    }
  }
}

// Pieces beyond the window are encoded part by part, with the same ids.
TEST(Bpe, APieceOfManyWindowsEqualsTheDefinition) {
  TestRandom random(4);
  for (int round = 0; round < 40; ++round) {
    const std::vector<BpeMerge> merges = RandomMerges(random, 1 + random.Below(40));
    const Bpe bpe(Bytes(), merges);
    for (const size_t letters : {size_t{1}, size_t{2}, size_t{4}}) {
      std::string piece;
      while (piece.size() < 1500) piece += static_cast<char>('a' + static_cast<char>(random.Below(letters)));
      BpeScratch scratch;
      scratch.window_bytes = 200 + random.Below(200);
      std::vector<int32_t> out = {7};
      bpe.Encode(piece, scratch, out);
      std::vector<int32_t> want = Slow(merges, piece);
      want.insert(want.begin(), 7);
      ASSERT_EQ(out, want) << piece;
      EXPECT_LE(scratch.symbols.size(), piece.size());
    }
  }
}

TEST(Bpe, MemoryOfALongPieceIsThatOfAWindow) {
  const std::vector<BpeMerge> merges = {{'a', 'b', 256}, {256, 256, 257}};
  BpeScratch scratch;
  scratch.window_bytes = 1000;
  std::string piece;
  while (piece.size() < 100'000) piece += "abb";
  std::vector<int32_t> out;
  Bpe(Bytes(), merges).Encode(piece, scratch, out);
  EXPECT_EQ(scratch.symbols.capacity(), 1000U);
  EXPECT_EQ(out.size(), piece.size() / 3 * 2);
}

TEST(Bpe, LeftmostOfEqualRanks) {
  const Bpe bpe(Bytes(), std::vector<BpeMerge>{{'a', 'a', 256}});
  EXPECT_EQ(Encode(bpe, "aaa"), (std::vector<int32_t>{256, 'a'}));
  EXPECT_EQ(Encode(bpe, "aaaaa"), (std::vector<int32_t>{256, 256, 'a'}));
  EXPECT_EQ(Encode(bpe, std::string(101, 'a')).back(), 'a');
}

TEST(Bpe, AWholePieceThatIsATokenIsStillMerged) {
  // "abc" is a token, but only a + bc merges to it, and a + b merges first.
  const Bpe bpe(Bytes(), std::vector<BpeMerge>{{'a', 'b', 256}, {'b', 'c', 257}, {'a', 257, 258}});
  EXPECT_EQ(Encode(bpe, "abc"), (std::vector<int32_t>{256, 'c'}));
}

TEST(Bpe, LaterRankOfARepeatedPairCounts) {
  const Bpe bpe(Bytes(), std::vector<BpeMerge>{{'a', 'b', 256}, {'b', 'c', 257}, {'a', 'b', 256}});
  EXPECT_EQ(Encode(bpe, "abc"), (std::vector<int32_t>{'a', 257}));
}

TEST(Bpe, NoMerges) { EXPECT_EQ(Encode(Bpe(Bytes(), {}), "ab"), (std::vector<int32_t>{'a', 'b'})); }

TEST(Bpe, WorkOfALongPieceIsNearLinear) {
  // a + a, aa + aa, ...: a megabyte of one letter is one piece that merges all the way up.
  std::vector<BpeMerge> merges = {{'a', 'a', 256}};
  for (int32_t i = 0; i < 10; ++i) merges.push_back({256 + i, 256 + i, 257 + i});
  const Bpe bpe(Bytes(), merges);
  const size_t n = 1 << 20;
  BpeScratch scratch;
  std::vector<int32_t> out;
  bpe.Encode(std::string(n, 'a'), scratch, out);
  EXPECT_EQ(out.size(), n >> 11);
  // Each merge removes a symbol and queues at most two pairs.
  EXPECT_LT(scratch.merges, n);
  EXPECT_LE(scratch.queued, n + 2 * scratch.merges);
}

}  // namespace
}  // namespace stablelm
