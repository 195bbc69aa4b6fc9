// Near duplicates: planted pairs are found at and above the threshold, none below it, the same with files and threads.
#include "dataset/clean/near_duplicates.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "dataset/clean/clean_testing.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

// Rows in pairs: 2 i, and 2 i + 1 that is made of it by new words at its end, so that the index is near `jaccard`.
class Pairs {
 public:
  Pairs(size_t count, double jaccard) {
    const Philox random(17);
    constexpr size_t kWords = 204;  // 200 shingles
    for (size_t i = 0; i < count; ++i) {
      std::vector<std::string> words(kWords);
      for (size_t w = 0; w < kWords; ++w) words[w] = "w" + std::to_string(random.Block(i, w)[0] % 50'000);
      // n new words at the end replace n shingles: J = (200 - n) / (200 + n).
      const auto n = static_cast<size_t>(200 * (1 - jaccard) / (1 + jaccard));
      rows.push_back(Row(words));
      for (size_t w = kWords - n; w < kWords; ++w) words[w] = "x" + std::to_string(random.Block(i, w)[1] % 50'000);
      rows.push_back(Row(words));
    }
  }
  std::vector<SourceConversation> rows;

 private:
  static SourceConversation Row(const std::vector<std::string>& words) {
    std::string first, second;
    for (size_t w = 0; w < words.size(); ++w) (w < words.size() / 3 ? first : second).append(words[w]).append(", ");
    return Of(first, second);
  }
};

struct Found {
  std::map<uint64_t, uint64_t> kept_of;  // by duplicate
  uint64_t spilled = 0;
};

Found FindIn(const std::vector<SourceConversation>& rows, SpillOptions options = {}, double threshold = 0.8) {
  const NearSigner signer;
  NearDuplicates near(threshold, options);
  for (size_t i = 0; i < rows.size(); ++i) near.Add(signer.Sign(rows[i]), 10 * i);
  Found found;
  near.Find([&](uint64_t duplicate, uint64_t kept) { EXPECT_TRUE(found.kept_of.emplace(duplicate, kept).second); });
  found.spilled = near.spilled_bytes();
  return found;
}

double IndexOf(const SourceConversation& a, const SourceConversation& b) {
  const NearSigner signer;
  return JaccardIndex(signer.Sign(a).shingles, signer.Sign(b).shingles);
}

TEST(NearDuplicates, ArePlantedPairsAboveTheThreshold) {
  constexpr size_t kPairs = 500;
  const Pairs pairs(kPairs, 0.85);
  EXPECT_NEAR(IndexOf(pairs.rows[0], pairs.rows[1]), 0.85, 0.01);
  const Found found = FindIn(pairs.rows);
  EXPECT_GE(found.kept_of.size(), kPairs * 99 / 100);
  for (const auto& [duplicate, kept] : found.kept_of) {
    EXPECT_EQ(duplicate % 20, 10u);
    EXPECT_EQ(kept, duplicate - 10);
  }
}

TEST(NearDuplicates, AreNoPairsBelowTheThreshold) {
  const Pairs pairs(500, 0.75);
  EXPECT_NEAR(IndexOf(pairs.rows[0], pairs.rows[1]), 0.75, 0.01);
  EXPECT_TRUE(FindIn(pairs.rows).kept_of.empty());
  EXPECT_GE(FindIn(pairs.rows, {}, 0.7).kept_of.size(), 450u);
}

TEST(NearDuplicates, AreTheSameInMemoryAndWithFiles) {
  const TempFolder folder;
  const Pairs pairs(500, 0.82);
  const Found memory = FindIn(pairs.rows);
  const Found files = FindIn(pairs.rows, {1, folder.path() / "near"});
  EXPECT_EQ(memory.spilled, 0u);
  EXPECT_GT(files.spilled, 1'000'000u);
  EXPECT_EQ(memory.kept_of, files.kept_of);
  EXPECT_GT(memory.kept_of.size(), 480u);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(NearDuplicates, AreComparedWithKeptRowsOnly) {
  // b is near a, and c near b but not near a: b goes, so c stays.
  std::string a, b, c;
  for (int i = 0; i < 104; ++i) {
    a += "w" + std::to_string(i) + " ";
    b += (i < 96 ? "w" : "x") + std::to_string(i) + " ";
    c += (i < 87 ? "w" : i < 96 ? "y" : "x") + std::to_string(i) + " ";
  }
  const std::vector<SourceConversation> rows = {Of(a, "."), Of(b, "."), Of(c, ".")};
  EXPECT_GE(IndexOf(rows[0], rows[1]), 0.75);
  EXPECT_GE(IndexOf(rows[1], rows[2]), 0.75);
  EXPECT_LT(IndexOf(rows[0], rows[2]), 0.75);
  EXPECT_EQ(FindIn(rows, {}, 0.75).kept_of, (std::map<uint64_t, uint64_t>{{10, 0}}));
}

TEST(NearDuplicates, OfTheThresholdItselfAreFound) {
  // 8 of 10 shingles.
  std::string a, b;
  for (int i = 0; i < 14; ++i) a += "w" + std::to_string(i) + " ";
  for (int i = 0; i < 12; ++i) b += "w" + std::to_string(i) + " ";
  EXPECT_EQ(IndexOf(Of(a, ""), Of(b, "")), 0.8);
  EXPECT_EQ(FindIn({Of(a, ""), Of(b, "")}).kept_of.size(), 1u);
  EXPECT_EQ(JaccardIndex(std::vector<uint64_t>{1, 2, 3, 4}, std::vector<uint64_t>{1, 2, 3, 4, 5}), 0.8);
  EXPECT_EQ(JaccardIndex(std::vector<uint64_t>{1, 3}, std::vector<uint64_t>{2, 4}), 0.0);
  EXPECT_EQ(JaccardIndex({}, {}), 1.0);
}

TEST(NearDuplicates, OfShortTextsAreThoseOfTheSameWords) {
  const std::vector<SourceConversation> rows = {Of("Hi", "Hello there"),
                                                Of("hi!", "Hello, there."),
                                                Of("Hi", "Hello"),
                                                Of("!", "?"),
                                                Of("!", "?"),
                                                Of("!", "!"),
                                                Of("", "")};
  EXPECT_EQ(FindIn(rows).kept_of, (std::map<uint64_t, uint64_t>{{10, 0}, {40, 30}}));
  EXPECT_TRUE(FindIn({}).kept_of.empty());
}

TEST(NearDuplicates, IgnoreRolesAndSystemTexts) {
  SourceConversation a = Of("one two three four five six", "seven"), b = Of("one two three", "four five six seven");
  b.system = "Another system text";
  EXPECT_EQ(IndexOf(a, b), 1.0);
}

TEST(NearDuplicates, AreFoundAmongDocuments) {
  const SourceConversation a = {.document = "one two three four five six"}, b = {.document = "...", .id = "b"};
  EXPECT_EQ(FindIn({a, b, Of("One two", "three four five six"), b}).kept_of,
            (std::map<uint64_t, uint64_t>{{20, 0}, {30, 10}}));
}

TEST(NearDuplicates, StayQuickInLargeGroups) {
  // Rows of a template share most bands with all others, without being near duplicates.
  std::vector<SourceConversation> rows;
  std::string start;
  for (int i = 0; i < 60; ++i) start += "common" + std::to_string(i) + " ";
  for (int row = 0; row < 2'000; ++row) {
    std::string own;
    for (int i = 0; i < 12; ++i) own += "own" + std::to_string(row) + "x" + std::to_string(i) + " ";
    rows.push_back(Of(start, own));
  }
  constexpr size_t kCopies = 20;  // of rows from all over: those that share most bands are compared first
  for (size_t i = 0; i < kCopies; ++i) rows.push_back(rows[99 * (i + 1)]);
  EXPECT_LT(IndexOf(rows[0], rows[1]), 0.8);
  const Found found = FindIn(rows);
  ASSERT_EQ(found.kept_of.size(), kCopies);
  for (size_t i = 0; i < kCopies; ++i) EXPECT_EQ(found.kept_of.at(20'000 + 10 * i), 990 * (i + 1));
}

}  // namespace
}  // namespace stablelm
