// Rows whose prompt is a turn prefix of another row's, and the real sample of Anthropic's HH.
#include "dataset/clean/prefixes.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "dataset/clean/roles.h"
#include "dataset/clean/text_rules.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

SourceConversation WithTurns(const std::vector<std::string>& texts) {
  SourceConversation conversation;
  for (const std::string& text : texts) {
    conversation.turns.push_back({conversation.turns.size() % 2 == 0 ? Role::kUser : Role::kAssistant, text});
  }
  return conversation;
}

std::set<uint64_t> FindPrefixes(const std::vector<SourceConversation>& rows, SpillOptions options = {}) {
  PromptPrefixes prefixes(options);
  for (size_t i = 0; i < rows.size(); ++i) prefixes.Add(PromptPrefixes::PromptsOf(rows[i]), i);
  std::set<uint64_t> found;
  prefixes.Find([&](uint64_t position) { EXPECT_TRUE(found.insert(position).second); });
  return found;
}

TEST(Prefixes, GoAndTheLongestStays) {
  EXPECT_EQ(FindPrefixes({WithTurns({"q", "a"}), WithTurns({"q", "b", "r", "c"}),
                          WithTurns({"q", "b", "r", "d", "s", "e"}), WithTurns({"q2", "a"})}),
            (std::set<uint64_t>{0, 1}));
}

TEST(Prefixes, OfEqualLengthLeaveTheFirst) {
  EXPECT_EQ(FindPrefixes({WithTurns({"q", "a"}), WithTurns({"q", "b"}), WithTurns({"q", "a"})}),
            (std::set<uint64_t>{1, 2}));
}

TEST(Prefixes, ThatDifferEarlierBothStay) {
  EXPECT_EQ(FindPrefixes({WithTurns({"q", "a", "r", "x"}), WithTurns({"q", "b", "r", "x"}), WithTurns({"q", "c"})}),
            (std::set<uint64_t>{2}));
}

TEST(Prefixes, AreOfTurnsNotOfBytes) {
  SourceConversation with_system = WithTurns({"q", "a"});
  with_system.system = "s";
  EXPECT_TRUE(FindPrefixes({WithTurns({"q", "a"}), WithTurns({"qq", "a", "r", "b"}), with_system, WithTurns({"", "q"})})
                  .empty());
}

TEST(Prefixes, AreFoundTheSameWithFiles) {
  const TempFolder folder;
  std::vector<SourceConversation> rows;
  for (int i = 0; i < 3'000; ++i) {
    std::vector<std::string> texts = {"q" + std::to_string(i % 1'000)};
    for (int turn = 0; turn < i / 1'000; ++turn) texts.insert(texts.end(), {"a", "q"});
    texts.push_back("last" + std::to_string(i));
    rows.push_back(WithTurns(texts));
  }
  const std::set<uint64_t> found = FindPrefixes(rows);
  EXPECT_EQ(found.size(), 2'000u);
  EXPECT_EQ(*found.rbegin(), 1'999u);
  EXPECT_EQ(FindPrefixes(rows, {1, folder.path() / "prefixes"}), found);
}

// The transcripts of HH, read by their separators as the issue of the data set says; rows as `chosen` has them.
std::vector<SourceConversation> ReadHh(const std::filesystem::path& path) {
  std::string text;
  const gzFile file = gzopen(path.c_str(), "rb");
  std::vector<char> piece(1 << 16);
  for (int n = 0; file && (n = gzread(file, piece.data(), static_cast<unsigned>(piece.size()))) > 0;) {
    text.append(piece.data(), static_cast<size_t>(n));
  }
  gzclose(file);
  std::vector<SourceConversation> rows;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const auto chosen = nlohmann::json::parse(text.substr(at, end - at)).at("chosen").get<std::string>();
    at = end + 1;
    SourceConversation row;
    for (size_t turn = 0; turn < chosen.size();) {
      const std::string_view rest = std::string_view(chosen).substr(turn);
      const bool human = rest.starts_with("\n\nHuman:");
      const size_t begin = turn + (human ? 8 : 12);
      turn = std::min(std::min(chosen.find("\n\nHuman:", begin), chosen.find("\n\nAssistant:", begin)), chosen.size());
      row.turns.push_back({human ? Role::kUser : Role::kAssistant, chosen.substr(begin, turn - begin)});
      Strip(row.turns.back().text);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

TEST(Prefixes, OfTheSampleOfHh) {
  const char* shared = std::getenv("STABLELM_SHARED");
  if (!shared) GTEST_SKIP() << "STABLELM_SHARED names no folder with the samples";
  std::vector<SourceConversation> rows = ReadHh(std::filesystem::path(shared) / "data/hh_harmless_test.jsonl.gz");
  ASSERT_EQ(rows.size(), 2'312u);
  ChangeCounts changes;
  std::map<std::string, int> dropped;
  std::erase_if(rows, [&](SourceConversation& row) {
    const auto reason = OrderRoles(row, RoleOrder::kStrict, changes);
    if (reason) ++dropped[std::string(NameOf(*reason))];
    return reason.has_value();
  });
  EXPECT_EQ(dropped, (std::map<std::string, int>{{"roles-do-not-alternate", 8}, {"empty-turn", 4}}));
  EXPECT_EQ(changes, ChangeCounts{});
  EXPECT_EQ(FindPrefixes(rows).size(), 129u);
}

}  // namespace
}  // namespace stablelm
