// Conversations that hold text of evaluation sets.
#include "dataset/clean/overlap.h"
#include "dataset/clean/clean_testing.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace stablelm {
namespace {

using OverlapKind = Overlap::Kind;

constexpr const char* kPassage = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";

TEST(Overlap, FindsRunsOfThirteenWords) {
  EvaluationTexts texts;
  EXPECT_EQ(texts.AddSet("first"), 0u);
  texts.Add("nothing in common");
  EXPECT_EQ(texts.AddSet("second"), 1u);
  texts.Add(kPassage);
  texts.Seal();
  const auto in_answer = [&](const std::string& answer) { return texts.Find(Of("q", answer)); };
  EXPECT_EQ(in_answer("Zero, ONE two: three four five six \"seven\" eight nine ten eleven\n- twelve thirteen!"),
            (Overlap{1, 1, OverlapKind::kPassage}));
  EXPECT_EQ(in_answer("zero two three four five six seven eight nine ten eleven twelve thirteen fourteen"),
            (Overlap{1, 1, OverlapKind::kPassage}));
  EXPECT_EQ(in_answer("one two three four five six seven eight nine ten eleven twelve"), std::nullopt);
  EXPECT_EQ(in_answer("one two three four five six and seven eight nine ten eleven twelve thirteen"), std::nullopt);
  // Not across turns.
  EXPECT_EQ(texts.Find(Of("one two three four five six seven", "eight nine ten eleven twelve thirteen fourteen")),
            std::nullopt);
}

TEST(Overlap, FindsEqualUserTexts) {
  EvaluationTexts texts;
  texts.AddSet("set");
  texts.Add("What is 2 + 2?");
  texts.Add("...");  // no words: in no set
  texts.AddSet("later");
  texts.Add("what is 2 2");
  texts.Seal();
  EXPECT_EQ(texts.Find(Of("what is 2+2", "4")), (Overlap{0, 0, OverlapKind::kUserText}));
  EXPECT_EQ(texts.Find(Of("tell me", "What is 2 + 2?")), std::nullopt);
  EXPECT_EQ(texts.Find(Of("What is 2 + 2 + 2?", "6")), std::nullopt);
  EXPECT_EQ(texts.Find(Of("!", "?")), std::nullopt);
  EXPECT_EQ(texts.names(), (std::vector<std::string>{"set", "later"}));
}

TEST(Overlap, FindsPassagesInDocuments) {
  EvaluationTexts texts;
  texts.AddSet("set");
  texts.Add(kPassage);
  texts.Seal();
  EXPECT_EQ(texts.Find({.document = std::string("x. ") + kPassage}), (Overlap{0, 0, OverlapKind::kPassage}));
  EXPECT_EQ(texts.Find({.document = "x"}), std::nullopt);
}

TEST(Overlap, WithNoSetsIsNone) {
  EvaluationTexts texts;
  texts.Seal();
  EXPECT_EQ(texts.Find(Of(kPassage, kPassage)), std::nullopt);
}

TEST(Overlap, FindsAPlantedPassageOfLambada) {
  const char* shared = std::getenv("STABLELM_SHARED");
  if (!shared) GTEST_SKIP() << "STABLELM_SHARED names no folder with the samples";
  EvaluationTexts texts;
  texts.AddSet("lambada");
  std::ifstream file(std::filesystem::path(shared) / "data/lambada_test.jsonl");
  std::string line, passage;
  size_t rows = 0;
  for (; std::getline(file, line); ++rows) {
    const auto text = nlohmann::json::parse(line).at("text").get<std::string>();
    texts.Add(text);
    if (rows == 1'000) passage = text;
  }
  ASSERT_EQ(rows, 5'153u);
  texts.Seal();
  EXPECT_EQ(texts.Find(Of("Go on", "Well. " + passage.substr(20, 150))), (Overlap{0, 1, OverlapKind::kPassage}));
  EXPECT_EQ(texts.Find(Of("What is the capital of France?", "The capital of France is Paris, on the Seine.")),
            std::nullopt);
}

}  // namespace
}  // namespace stablelm
