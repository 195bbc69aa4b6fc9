// Packing: every sample once, nothing too long, full packs, the same packs for the same seed.
#include "dataset/packing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "base/random.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using Lengths = std::vector<uint32_t>;

// Lengths as chat data has them: a sum of short turns, a tail of long ones.
Lengths ChatLengths(size_t n, uint32_t longest) {
  const Philox random(7);
  Lengths lengths;
  for (size_t i = 0; i < n; ++i) {
    const double u = random.Uniform(0, i);
    lengths.push_back(std::min(longest, static_cast<uint32_t>(119 + 60 / (1.0001 - u) * random.Uniform(1, i))));
  }
  return lengths;
}

std::vector<PackedDocument> DocumentsOf(const Packs& packs) { return {packs.documents.begin(), packs.documents.end()}; }

void CheckWhole(const Packs& packs, const Lengths& lengths, int64_t sequence_length) {
  std::vector<int> seen(lengths.size());
  for (size_t p = 0; p < packs.size(); ++p) {
    uint64_t tokens = 0;
    ASSERT_LT(packs.begin[p], packs.begin[p + 1]);
    for (uint64_t d = packs.begin[p]; d < packs.begin[p + 1]; ++d) {
      const PackedDocument& one = packs.documents[d];
      ++seen[one.sample];
      EXPECT_EQ(one.offset, 0U);
      EXPECT_EQ(one.length, lengths[one.sample]);
      tokens += one.length;
    }
    EXPECT_LE(tokens, static_cast<uint64_t>(sequence_length));
  }
  EXPECT_THAT(seen, testing::Each(1));
}

TEST(Packing, PacksWholeSamplesNearlyFull) {
  for (const int64_t length : {1024, 2048, 4096}) {
    const Lengths lengths = ChatLengths(20000, static_cast<uint32_t>(length));
    const Packs packs = PackSamples(lengths, length, Packing::kPack, 1);
    CheckWhole(packs, lengths, length);
    EXPECT_GT(packs.Fill(length), 0.99) << length;
  }
}

TEST(Packing, FindsTheFillThatNeedsManySamples) {
  // 7 = 3 + 2 + 2 and 5 + 2: largest first would waste a pack.
  CheckWhole(PackSamples(Lengths{5, 3, 2, 2, 2}, 7, Packing::kPack, 3), {5, 3, 2, 2, 2}, 7);
  EXPECT_EQ(PackSamples(Lengths{5, 3, 2, 2, 2}, 7, Packing::kPack, 3).size(), 2U);
  // Multiples are counted: only one sample of 3 is there.
  EXPECT_EQ(PackSamples(Lengths{6, 3, 1}, 9, Packing::kPack, 3).size(), 2U);
  EXPECT_EQ(PackSamples(Lengths{4, 3, 3}, 10, Packing::kPack, 3).size(), 1U);
  EXPECT_EQ(PackSamples(Lengths{}, 10, Packing::kPack, 3).size(), 0U);
  EXPECT_EQ(PackSamples(Lengths{1, 1, 1}, 1, Packing::kPack, 3).size(), 3U);
}

TEST(Packing, DependsOnTheSeedAlone) {
  const Lengths lengths = ChatLengths(1000, 2048);
  const Packs one = PackSamples(lengths, 2048, Packing::kPack, 1);
  EXPECT_EQ(DocumentsOf(one), DocumentsOf(PackSamples(lengths, 2048, Packing::kPack, 1)));
  EXPECT_NE(DocumentsOf(one), DocumentsOf(PackSamples(lengths, 2048, Packing::kPack, 2)));
}

TEST(Packing, DoesNotDependOnTheMemory) {
  const TempFolder folder;
  const Lengths lengths = ChatLengths(60'000, 1024);
  for (const Packing packing : {Packing::kPack, Packing::kNone, Packing::kConcat}) {
    const Packs want = PackSamples(lengths, 1024, packing, 1);
    const Packs packs = PackSamples(lengths, 1024, packing, 1, {1, folder.path() / "packs"});
    EXPECT_EQ(want.spilled_bytes, 0U);
    EXPECT_GT(packs.spilled_bytes, 500'000U);
    EXPECT_EQ(DocumentsOf(packs), DocumentsOf(want));
    EXPECT_TRUE(std::ranges::equal(packs.begin, want.begin));
  }
}

TEST(Packing, OneSampleEach) {
  const Lengths lengths = ChatLengths(100, 1024);
  const Packs packs = PackSamples(lengths, 1024, Packing::kNone, 1);
  CheckWhole(packs, lengths, 1024);
  EXPECT_EQ(packs.size(), lengths.size());
  EXPECT_NE(packs.documents[0].sample, 0U);  // with this seed
}

TEST(Packing, ConcatFillsEveryPackAndLosesNothingButLoneTokens) {
  const Lengths lengths = ChatLengths(500, 1024);
  const Packs packs = PackSamples(lengths, 1024, Packing::kConcat, 1);
  const uint64_t total = std::accumulate(lengths.begin(), lengths.end(), uint64_t{0});
  std::vector<uint64_t> seen(lengths.size());
  uint64_t tokens = 0;
  for (const PackedDocument& one : packs.documents) {
    EXPECT_GT(one.length, 1U);
    EXPECT_GE(one.offset, seen[one.sample]);
    seen[one.sample] = one.offset + one.length;
    tokens += one.length;
  }
  EXPECT_LE(total - tokens, packs.size() + 1);
  for (size_t p = 0; p + 1 < packs.size(); ++p) {
    uint64_t filled = 0;
    for (uint64_t d = packs.begin[p]; d < packs.begin[p + 1]; ++d) filled += packs.documents[d].length;
    EXPECT_GE(filled, 1023U);
    EXPECT_LE(filled, 1024U);
  }
}

}  // namespace
}  // namespace stablelm
