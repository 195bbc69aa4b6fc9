// Rows that are equal to an earlier one: what counts as equal, and the same answer in memory and with files.
#include "dataset/clean/exact_duplicates.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dataset/clean/clean_testing.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

TEST(KeyOf, TakesWhiteSpaceAsOneSpace) {
  const ContentKey key = KeyOf(Of("What is it?", "A cat."));
  EXPECT_EQ(KeyOf(Of(" What\n is\t\xC2\xA0it?\n", "A  cat.\xE3\x80\x80")), key);
  EXPECT_NE(KeyOf(Of("What is it?", "A cat")), key);
  EXPECT_NE(KeyOf(Of("what is it?", "A cat.")), key);
  EXPECT_NE(KeyOf(Of("Whatis it?", "A cat.")), key);
}

TEST(KeyOf, CountsRolesBordersAndSystemTexts) {
  const ContentKey key = KeyOf(Of("a b", "c"));
  EXPECT_NE(KeyOf(Of("a", "b c")), key);
  EXPECT_NE(KeyOf({.turns = {{Role::kAssistant, "a b"}, {Role::kUser, "c"}}}), key);
  SourceConversation with_system = Of("a b", "c");
  with_system.system = "s";
  EXPECT_NE(KeyOf(with_system), key);
  EXPECT_EQ(KeyOf({.document = "a  b"}), KeyOf({.document = " a b\n"}));
  EXPECT_NE(KeyOf({.document = "a b"}), KeyOf({.system = "a b"}));
  SourceConversation with_id = Of("a b", "c");
  with_id.id = "7";
  with_id.turns[0].loss = false;
  EXPECT_EQ(KeyOf(with_id), key);
  EXPECT_EQ(key, (ContentKey{0xD79D940ADB909D17u, 0x66753385E81E74E9u}));  // the same on every machine
}

TEST(ExactDuplicates, AreFoundTheSameWithFiles) {
  const TempFolder folder;
  std::vector<std::vector<std::pair<uint64_t, uint64_t>>> results;
  for (const size_t bytes : {size_t{1}, size_t{64} << 20}) {
    ExactDuplicates rows({bytes, folder.path() / "keys"});
    for (uint64_t i = 0; i < 20'000; ++i) rows.Add(Hash128(std::to_string(i % 15'000)), i);
    rows.Add(Hash128("7"), 90'000);
    auto& found = results.emplace_back();
    rows.Find([&](uint64_t duplicate, uint64_t first) { found.emplace_back(duplicate, first); });
    EXPECT_EQ(rows.spilled_bytes() > 0, bytes == 1);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0].size(), 5'001u);
  const std::map<uint64_t, uint64_t> first(results[0].begin(), results[0].end());
  EXPECT_EQ(first.at(15'007), 7u);
  EXPECT_EQ(first.at(90'000), 7u);
  EXPECT_FALSE(first.contains(7));
}

TEST(ExactDuplicates, DoNotDependOnTheOrderOfAdd) {
  ExactDuplicates rows({});
  for (const uint64_t position : {uint64_t{5}, uint64_t{2}, uint64_t{9}}) rows.Add(Hash128("same"), position);
  std::map<uint64_t, uint64_t> found;
  rows.Find([&](uint64_t duplicate, uint64_t first) { found[duplicate] = first; });
  EXPECT_EQ(found, (std::map<uint64_t, uint64_t>{{5, 2}, {9, 2}}));
}

}  // namespace
}  // namespace stablelm
