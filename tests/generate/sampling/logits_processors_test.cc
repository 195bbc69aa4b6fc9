// Bans and penalties against results of transformers and by hand.
#include "generate/sampling/logits_processors.h"

#include <gmock/gmock.h>

#include "generate/sampling/row_testing.h"

namespace stablelm {
namespace {

using Row = std::vector<float>;
constexpr float kLargest = std::numeric_limits<float>::max();

TEST(Processors, EqualTransformers) {
  std::vector<int32_t> prompt;
  int checked = 0;
  for (const ReferenceCase& c : ReferenceCases(&prompt)) {
    SCOPED_TRACE(c.name);
    Row got = c.input;
    TokenCounts counts(static_cast<int64_t>(got.size()));
    Removal removal;
    if (c.processor == "repetition_penalty") {
      PenalizeRepetition(got, prompt, c.parameters.at("repetition_penalty"), counts);
    } else if (c.processor == "no_repeat_ngram_size") {
      BanRepeatedNgrams(got, prompt, c.parameters.at("no_repeat_ngram_size"), removal);
    } else if (c.processor == "suppress_tokens") {
      RemoveAll(got, c.parameters.at("suppress_tokens").get<std::vector<int32_t>>(), removal);
    } else if (c.processor == "bad_words_ids") {
      const auto words = c.parameters.at("bad_words_ids").get<std::vector<std::vector<int32_t>>>();
      BanWords(got, prompt, words, std::vector<int32_t>{0}, removal);
    } else if (c.processor == "min_new_tokens") {
      RemoveAll(got, c.parameters.at("eos_token_id").get<std::vector<int32_t>>(), removal);
    } else {
      continue;  // filters: logits_filters_test
    }
    ExpectReference(c, got);
    ++checked;
  }
  EXPECT_EQ(checked, 10);
}

TEST(Processors, RepetitionCountsAnIdOnceAndKnowsTheSign) {
  Row row = {2, -2, 0, 2, -kInf, 3};
  TokenCounts counts(6);
  PenalizeRepetition(row, std::vector<int32_t>{0, 1, 0, 2, 0, 4, -1, 6, 1 << 30}, 2, counts);
  EXPECT_EQ(row, (Row{1, -4, 0, 2, -kInf, 3}));
  PenalizeRepetition(row, std::vector<int32_t>{3}, 2, counts);  // the counts of the last window are cleared
  EXPECT_EQ(row, (Row{1, -4, 0, 1, -kInf, 3}));
}

TEST(Processors, PresenceAndFrequency) {
  const std::vector<int32_t> ids = {0, 1, 0, 0, 3};
  TokenCounts counts(4);
  Row presence = {1, 1, 1, -kInf};
  PenalizePresence(presence, ids, 0.5, counts);
  EXPECT_EQ(presence, (Row{0.5f, 0.5f, 1, -kInf}));
  Row frequency = {1, 1, 1, -kInf};
  PenalizeFrequency(frequency, ids, 0.5, counts);
  EXPECT_EQ(frequency, (Row{-0.5f, 0.5f, 1, -kInf}));
  Row rewarded = {1, 1, 1, 1};
  PenalizeFrequency(rewarded, ids, -1, counts);
  EXPECT_EQ(rewarded, (Row{4, 2, 1, 2}));
}

TEST(Processors, TheWindowIsTheEnd) {
  const std::vector<int32_t> ids = {5, 6, 7};
  EXPECT_THAT(LastIds(ids, 2), testing::ElementsAre(6, 7));
  EXPECT_THAT(LastIds(ids, 0), testing::IsEmpty());
  EXPECT_THAT(LastIds(ids, -1), testing::ElementsAre(5, 6, 7));
  EXPECT_THAT(LastIds(ids, 9), testing::ElementsAre(5, 6, 7));
}

TEST(Processors, ScoresStayFinite) {
  Row row = {kLargest, -kLargest, 1e30f, -1e30f};
  TokenCounts counts(4);
  const std::vector<int32_t> ids = {0, 1, 2, 3};
  PenalizeRepetition(row, ids, 1e-6, counts);
  EXPECT_EQ(row[0], kLargest);
  EXPECT_FLOAT_EQ(row[2], 1e36f);
  row = {kLargest, -kLargest, 1e30f, -1e30f};
  PenalizeRepetition(row, ids, 1e6, counts);
  EXPECT_EQ(row[1], -kLargest);
  row = {1, -1, 0, -kInf};
  DecayLength(row, ids, 1 << 30, 0, 1e6);
  EXPECT_EQ(row, (Row{kLargest, kLargest, 0, -kInf}));
}

TEST(Processors, LogitBiasAddsAndBans) {
  Row row = {1, 2, -kInf, 4};
  Removal removal;
  const std::vector<LogitBias> biases = {{0, 2.5}, {1, -std::numeric_limits<double>::infinity()}, {2, 100}, {9, 1}};
  AddLogitBias(row, biases, removal);
  EXPECT_EQ(row, (Row{3.5f, -kInf, -kInf, 4}));
  EXPECT_EQ(removal.id, 1);
  EXPECT_EQ(removal.score, 2);
}

TEST(Processors, NoNgramTwice) {
  const std::vector<int32_t> ids = {1, 2, 3, 1, 2};
  const auto kept = [&](int64_t n, const std::vector<int32_t>& context) {
    Row row(5, 0.0f);
    Removal removal;
    BanRepeatedNgrams(row, context, n, removal);
    return Kept(row);
  };
  EXPECT_EQ(kept(3, ids), (std::vector<int>{0, 1, 2, 4}));
  EXPECT_EQ(kept(2, ids), (std::vector<int>{0, 1, 2, 4}));
  EXPECT_EQ(kept(1, ids), (std::vector<int>{0, 4}));
  EXPECT_EQ(kept(4, ids), (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(kept(6, ids), (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(kept(int64_t{1} << 31, ids), (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(kept(2, {4, 4}), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(kept(3, {4, 4}), (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(Processors, BadWords) {
  const auto kept = [&](const std::vector<std::vector<int32_t>>& words, const std::vector<int32_t>& ids) {
    Row row(5, 0.0f);
    Removal removal;
    BanWords(row, ids, words, std::vector<int32_t>{4}, removal);
    return Kept(row);
  };
  EXPECT_EQ(kept({{2}, {7, 3}}, {1}), (std::vector<int>{0, 1, 3, 4}));
  EXPECT_EQ(kept({{7, 3}}, {1, 7}), (std::vector<int>{0, 1, 2, 4}));
  EXPECT_EQ(kept({{7, 3}}, {7}), (std::vector<int>{0, 1, 2, 4}));  // the context ends with the start of the word
  EXPECT_EQ(kept({{7, 7, 3}}, {7}), (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(kept({{4}}, {1}), (std::vector<int>{0, 1, 2, 3, 4}));  // a single stop id is ignored
  EXPECT_EQ(kept({{1, 4}}, {1}), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(kept({{4, 2}}, {4}), (std::vector<int>{0, 1, 3, 4}));  // a word may begin with one
}

TEST(Processors, LengthDecayMakesTheEndMoreLikely) {
  const std::vector<int32_t> stops = {0, 1};
  Row row = {2, -2, 5};
  DecayLength(row, stops, 3, 3, 1.5);
  EXPECT_EQ(row, (Row{2, -2, 5}));
  DecayLength(row, stops, 5, 3, 1.5);  // |s| (1.5^2 - 1) = 1.25 |s|
  EXPECT_EQ(row, (Row{4.5f, 0.5f, 5}));
}

TEST(Processors, TheBestOfTheRemovedIsRemembered) {
  Row row = {1, 3, 3, 2, -kInf};
  Removal removal;
  RemoveAll(row, std::vector<int32_t>{4, 3, 2, 1, 0}, removal);
  EXPECT_EQ(removal.id, 1);  // the lower id in a tie
  EXPECT_EQ(removal.score, 3);
  EXPECT_TRUE(Kept(row).empty());
}

}  // namespace
}  // namespace stablelm
