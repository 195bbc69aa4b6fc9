// Targets and samples of a transcript: against Hugging Face's tokenizers, against transcripts of the pieces alone, and
// the books of tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "../prompt/prompt_testing.h"
#include "dataset/samples.h"

namespace stablelm {
namespace {

using testing::Each;
using testing::ElementsAre;
using Ids = std::vector<int32_t>;
using Bits = std::vector<uint8_t>;

constexpr int32_t kEnd = 0;  // <|endoftext|> of the small tokenizer

struct Cut {
  std::vector<Sample> samples;
  TokenAccount account;
};

Cut CutOf(const PromptBuilder& builder, const Conversation& conversation, const SampleRules& rules, Bits mute = {}) {
  Cut cut;
  CutTranscript(builder.BuildTranscript(conversation), rules, mute, builder.tokenizer(), cut.samples, cut.account);
  EXPECT_TRUE(cut.account.Balances());
  uint64_t written = 0;
  for (const Sample& sample : cut.samples) {
    EXPECT_EQ(sample.ids.size(), sample.targets.size());
    EXPECT_LE(sample.ids.size(), static_cast<size_t>(rules.sequence_length));
    EXPECT_EQ(sample.targets[0], 0);
    written += sample.ids.size();
  }
  EXPECT_EQ(written, cut.account.written);
  return cut;
}

Conversation Chat(size_t exchanges, bool system = true) {
  Conversation chat;
  if (system) chat.push_back(System("Be kind."));
  for (size_t i = 0; i < exchanges; ++i) {
    chat.push_back(User("question " + std::to_string(i) + "\n"));
    chat.push_back(Assistant("answer " + std::to_string(i)));
  }
  return chat;
}

// tests/data/dataset/masks.json is made by scripts/make_mask_vectors.py.
TEST(Samples, AreThoseOfTheReferenceTokenizer) {
  const nlohmann::json vectors = nlohmann::json::parse(std::ifstream(TestData("dataset/masks.json")));
  ASSERT_EQ(vectors.size(), 15U);
  for (const nlohmann::json& vector : vectors) {
    const PromptTemplate one = PromptTemplateOf(vector.at("template").get<std::string>()).value();
    Conversation conversation;
    if (!vector.at("system").is_null()) conversation.push_back(System(vector.at("system")));
    for (const std::string text : vector.at("turns")) {
      conversation.push_back(
          {conversation.empty() || conversation.back().role != Role::kUser ? Role::kUser : Role::kAssistant, text});
    }
    const Cut cut = CutOf(PromptBuilder(TokenizerFor(one), one), conversation, {.end_id = kEnd});
    ASSERT_EQ(cut.samples.size(), 1U);
    EXPECT_EQ(cut.samples[0].ids, vector.at("ids").get<Ids>()) << vector;
    EXPECT_EQ(cut.samples[0].targets, vector.at("targets").get<Bits>()) << vector;
  }
}

TEST(Samples, LossRules) {
  const PromptBuilder builder(TunedTokenizer(), PromptTemplate::kStableLmTuned);
  const Conversation chat = {User("a"), Assistant("b"), User("c"), Assistant("d")};
  const auto targets = [&](LossRule rule, Bits mute = {}) {
    return CutOf(builder, chat, {.loss = rule, .end_id = kEnd}, std::move(mute)).samples.at(0).targets;
  };
  // <|USER|> a <|ASSISTANT|> b <|USER|> c <|ASSISTANT|> d <|endoftext|>
  EXPECT_THAT(targets(LossRule::kAssistant), ElementsAre(0, 0, 0, 1, 1, 0, 0, 1, 1));
  EXPECT_THAT(targets(LossRule::kLastAssistant), ElementsAre(0, 0, 0, 0, 0, 0, 0, 1, 1));
  EXPECT_THAT(targets(LossRule::kAssistantMarkers), ElementsAre(0, 0, 1, 1, 1, 0, 1, 1, 1));
  EXPECT_THAT(targets(LossRule::kAll), ElementsAre(0, 1, 1, 1, 1, 1, 1, 1, 1));
  // Turns that a row takes out of the loss: 1 is the first answer, 3 the second.
  EXPECT_THAT(targets(LossRule::kAssistant, {0, 1}), ElementsAre(0, 0, 0, 0, 0, 0, 0, 1, 1));
  EXPECT_THAT(targets(LossRule::kAssistant, {0, 0, 0, 1}), ElementsAre(0, 0, 0, 1, 1, 0, 0, 0, 0));
  EXPECT_THAT(targets(LossRule::kAll, {0, 1}), ElementsAre(0, 1, 1, 0, 0, 1, 1, 1, 1));
  const Cut parity = CutOf(builder, chat, {});
  EXPECT_THAT(parity.samples[0].targets, ElementsAre(0, 0, 0, 1, 1, 0, 0, 1));
}

// Every piece is the transcript of its own exchanges after the system text, and what ends it.
TEST(Samples, PiecesAreTranscriptsOfTheirExchanges) {
  for (const PromptTemplate one : kAllTemplates) {
    const PromptBuilder builder(TokenizerFor(one), one);
    for (const bool system : {true, false}) {
      const Conversation chat = Chat(9, system);
      const size_t whole = builder.BuildTranscript(chat).ids.size();
      for (const size_t limit : {whole / 9 + 30, whole / 3 + 10, whole / 2 + 20, whole + 1}) {
        SCOPED_TRACE(std::string(NameOf(one)) + (system ? " system " : " ") + std::to_string(limit));
        const Cut cut = CutOf(builder, chat, {.sequence_length = static_cast<int64_t>(limit), .end_id = kEnd});
        EXPECT_EQ(cut.samples.size() > 1, limit < whole);
        EXPECT_EQ(cut.account.too_long, 0U);
        size_t first = system ? 1 : 0;
        for (size_t p = 0; p < cut.samples.size(); ++p) {
          // The exchanges of this piece: as many as give its length.
          Ids want;
          size_t last = first;
          while (want.size() < cut.samples[p].ids.size() && last < chat.size()) {
            last += 2;
            Conversation part(chat.begin() + static_cast<ptrdiff_t>(first),
                              chat.begin() + static_cast<ptrdiff_t>(last));
            if (system) part.insert(part.begin(), chat[0]);
            want = builder.BuildTranscript(part).ids;
            const bool closes = one != PromptTemplate::kStableLmTuned && one != PromptTemplate::kNone;
            if (last == chat.size()) {
              if (!closes) want.push_back(kEnd);
            } else if (one == PromptTemplate::kStableLmTuned) {
              want.push_back(builder.tokenizer().TokenId("<|USER|>").value());
            }
          }
          EXPECT_EQ(cut.samples[p].ids, want);
          EXPECT_EQ(cut.samples[p].targets.back(), 1);
          first = last;
        }
        EXPECT_EQ(first, chat.size());
      }
    }
  }
}

TEST(Samples, AnExchangeThatIsTooLongIsDroppedAndTheRestGoesOn) {
  const PromptBuilder builder(TunedTokenizer(), PromptTemplate::kStableLmTuned);
  std::string words;
  for (int i = 0; i < 60; ++i) words += " word" + std::to_string(i);
  const Conversation chat = {System("S"),    User("a"), Assistant("b"), User(words),
                             Assistant("c"), User("d"), Assistant("e")};
  const Cut cut = CutOf(builder, chat, {.sequence_length = 40, .end_id = kEnd});
  ASSERT_EQ(cut.samples.size(), 2U);
  EXPECT_EQ(cut.account.exchanges_too_long, 1U);
  EXPECT_EQ(cut.samples[0].ids.back(), builder.tokenizer().TokenId("<|USER|>").value());
  EXPECT_EQ(cut.samples[0].targets.back(), 1);
  Ids want = builder.BuildTranscript({System("S"), User("d"), Assistant("e")}).ids;
  want.push_back(kEnd);
  EXPECT_EQ(cut.samples[1].ids, want);

  const Cut none = CutOf(builder, {System("S"), User(words), Assistant("c")}, {.sequence_length = 40, .end_id = kEnd});
  EXPECT_TRUE(none.samples.empty());
  EXPECT_EQ(none.account.too_long, none.account.read);
}

TEST(Samples, AUserTextIsCutBetweenCharacters) {
  const PromptBuilder builder(TunedTokenizer(), PromptTemplate::kStableLmTuned);
  std::string faces;
  for (int i = 0; i < 30; ++i) faces += "\xF0\x9F\x98\x80";  // several tokens each
  for (int64_t length = 12; length < 40; ++length) {
    const Cut cut = CutOf(builder, {User(faces), Assistant("ok")},
                          {.long_turn = LongTurn::kTruncateUser, .sequence_length = length, .end_id = kEnd});
    ASSERT_EQ(cut.samples.size(), 1U) << length;
    EXPECT_EQ(cut.account.users_cut, 1U);
    const Ids& ids = cut.samples[0].ids;
    EXPECT_GT(static_cast<int64_t>(ids.size()), length - 4);
    const std::string text = builder.tokenizer().Decode(Ids(ids.begin() + 1, ids.end()));
    EXPECT_EQ(text.find("\xEF\xBF\xBD"), std::string::npos) << text;
    EXPECT_NE(text.find("ok"), std::string::npos);
  }
  // An answer that is too long by itself cannot be saved so.
  const Cut answer = CutOf(builder, {User("a"), Assistant(faces)},
                           {.long_turn = LongTurn::kTruncateUser, .sequence_length = 16, .end_id = kEnd});
  EXPECT_TRUE(answer.samples.empty());
}

TEST(Samples, PiecesWithoutTargetsAreDropped) {
  const PromptBuilder builder(TunedTokenizer(), PromptTemplate::kStableLmTuned);
  const Cut cut = CutOf(builder, Chat(9), {.loss = LossRule::kLastAssistant, .sequence_length = 60, .end_id = kEnd});
  ASSERT_EQ(cut.samples.size(), 1U);
  EXPECT_GT(cut.account.pieces_without_targets, 0U);
  EXPECT_EQ(cut.samples[0].ids.back(), kEnd);
}

TEST(Samples, TextsAreCutAtTheSequenceLength) {
  Ids ids(10);
  std::iota(ids.begin(), ids.end(), 100);
  const auto cut = [&](int64_t length, std::optional<int32_t> end) {
    Cut result;
    CutText(ids, {.loss = LossRule::kAll, .sequence_length = length, .end_id = end}, result.samples, result.account);
    EXPECT_TRUE(result.account.Balances());
    return result;
  };
  const Cut two = cut(6, kEnd);
  ASSERT_EQ(two.samples.size(), 2U);
  EXPECT_THAT(two.samples[0].ids, ElementsAre(100, 101, 102, 103, 104, 105));
  EXPECT_THAT(two.samples[0].targets, ElementsAre(0, 1, 1, 1, 1, 1));
  EXPECT_THAT(two.samples[1].ids, ElementsAre(106, 107, 108, 109, kEnd));
  EXPECT_EQ(cut(6, std::nullopt).samples[1].ids.size(), 4U);
  // The end token alone would be a piece without a target.
  EXPECT_EQ(cut(10, kEnd).samples.size(), 1U);
  EXPECT_EQ(cut(10, kEnd).account.pieces_without_targets, 1U);
}

}  // namespace
}  // namespace stablelm
