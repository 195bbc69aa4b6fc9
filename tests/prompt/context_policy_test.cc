#include "prompt/context_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prompt/prompt_testing.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

int64_t Length(const Prompt& prompt) { return static_cast<int64_t>(prompt.ids.size()); }

// A system message, `turns` answered turns of different lengths, and a final question.
Conversation Long(size_t turns) {
  Conversation conversation = {System("sys")};
  for (size_t i = 0; i < turns; ++i) {
    conversation.push_back(User("question " + std::string(i % 5, '?')));
    conversation.push_back(Assistant("answer " + std::to_string(i)));
  }
  conversation.push_back(User("the last one"));
  return conversation;
}

class ContextPolicyTest : public testing::TestWithParam<PromptTemplate> {
 protected:
  const PromptBuilder builder_{TokenizerFor(GetParam()), GetParam()};
};

TEST_P(ContextPolicyTest, WhatFitsIsLeftAlone) {
  const Conversation conversation = Long(3);
  const Prompt whole = builder_.BuildPrompt(conversation);
  for (const ContextPolicy policy :
       {ContextPolicy::kError, ContextPolicy::kDropOldestTurns, ContextPolicy::kShift, ContextPolicy::kStop}) {
    const FittedPrompt fitted =
        FitPrompt(builder_, conversation, {.context = Length(whole) + 7, .reserve = 7, .policy = policy});
    EXPECT_EQ(fitted.prompt.ids, whole.ids);
    EXPECT_EQ(fitted.dropped_messages, 0u);
    EXPECT_EQ(fitted.dropped_tokens, 0);
  }
}

// For every context size: drops whole turns, the oldest, as few as needed, and keeps the system message.
TEST_P(ContextPolicyTest, DropsTheFewestOldestTurns) {
  constexpr size_t kTurns = 9;
  constexpr int64_t kReserve = 5;
  const Conversation conversation = Long(kTurns);
  const int64_t whole = Length(builder_.BuildPrompt(conversation));
  const int64_t least = Length(builder_.BuildPrompt({conversation.front(), conversation.back()}));
  for (int64_t context = least + kReserve; context <= whole + kReserve; ++context) {
    const FittedPrompt fitted = FitPrompt(
        builder_, conversation, {.context = context, .reserve = kReserve, .policy = ContextPolicy::kDropOldestTurns});
    size_t dropped = 0;  // found by trying all
    Conversation rest = conversation;
    while (Length(builder_.BuildPrompt(rest)) > context - kReserve) {
      rest.erase(rest.begin() + 1, rest.begin() + 3);
      dropped += 2;
    }
    ASSERT_EQ(fitted.dropped_messages, dropped) << context;
    EXPECT_EQ(fitted.prompt.ids, builder_.BuildPrompt(rest).ids);
    EXPECT_EQ(
        FitPrompt(builder_, conversation, {.context = context, .reserve = kReserve, .policy = ContextPolicy::kShift})
            .prompt.ids,
        fitted.prompt.ids);  // shift affects only the reply
    EXPECT_EQ(fitted.dropped_tokens, whole - Length(fitted.prompt));
  }
  EXPECT_THAT(ErrorText([&] {
                FitPrompt(builder_, conversation,
                          {.context = least + 4, .reserve = kReserve, .policy = ContextPolicy::kDropOldestTurns}, "F");
              }),
              testing::AllOf(HasSubstr("F: the last turn alone is longer than the model's context"),
                             HasSubstr("found " + std::to_string(least) + " tokens and 5 reserved"),
                             HasSubstr("at most " + std::to_string(least + 4))));
}

TEST_P(ContextPolicyTest, ErrorNamesBothNumbersAndStopAsksForNoReserve) {
  const Conversation conversation = Long(2);
  const int64_t whole = Length(builder_.BuildPrompt(conversation));
  const auto refusal = [&](ContextPolicy policy, int64_t context, int64_t reserve) {
    return ErrorText(
        [&] { FitPrompt(builder_, conversation, {.context = context, .reserve = reserve, .policy = policy}, "F"); });
  };
  EXPECT_THAT(refusal(ContextPolicy::kError, whole + 9, 10),
              HasSubstr("found " + std::to_string(whole) + " tokens and 10 reserved for the reply, expected at most " +
                        std::to_string(whole + 9) + " together"));
  EXPECT_EQ(refusal(ContextPolicy::kError, whole, 0), "");
  EXPECT_THAT(refusal(ContextPolicy::kError, whole - 1, 0), HasSubstr("`context_policy=drop-oldest-turns`"));
  EXPECT_EQ(refusal(ContextPolicy::kStop, whole, 1000), "");
  EXPECT_THAT(refusal(ContextPolicy::kStop, whole - 1, 0), HasSubstr("longer than the model's context"));
}

// Keeps exactly the ids of the system message with its markers.
TEST_P(ContextPolicyTest, ShiftKeepsTheSystemMessage) {
  const Prompt with = builder_.BuildPrompt({System("some system text"), User("question")});
  const Prompt without = builder_.BuildPrompt({User("question")});
  const int64_t keep = KeepOnShift(with, ContextPolicy::kShift).value();
  ASSERT_EQ(keep, std::max(kAttentionSinks, Length(with) - Length(without)));
  EXPECT_TRUE(std::equal(without.ids.begin(), without.ids.end(), with.ids.begin() + keep));
  EXPECT_EQ(KeepOnShift(without, ContextPolicy::kShift), 4);  // attention sinks
  EXPECT_EQ(KeepOnShift({}, ContextPolicy::kShift), 4);
  EXPECT_EQ(KeepOnShift(with, ContextPolicy::kDropOldestTurns), std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(Templates, ContextPolicyTest, testing::ValuesIn(kAllTemplates), [](const auto& test) {
  std::string name = NameOf(test.param);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// A conversation is refused by the numbers that its messages came with, before a system message is put before them.
TEST(RawContextTest, MessagesAreNamedAsTheyCame) {
  ChatSetup setup;
  setup.prompt_template = PromptTemplate::kStableLmTuned;
  setup.system = "Be brief.";
  EXPECT_THAT(ErrorText([&] {
                FitConversation({User("a"), Assistant("b")}, setup, TunedTokenizer(),
                                LimitsFor(ContextPolicy::kError, {}, 1000), "m.json");
              }),
              testing::StartsWith("m.json: messages[1].role"));
}

TEST(RawContextTest, NamesOfPolicies) {
  for (const std::string& name : ContextPolicyNames()) EXPECT_EQ(NameOf(ContextPolicyOf(name).value()), name);
  EXPECT_EQ(ContextPolicyOf("drop"), std::nullopt);
}

TEST(RawContextTest, TheReserveOfEachPolicy) {
  EXPECT_EQ(LimitsFor(ContextPolicy::kError, {}, 4096).reserve, 0);
  EXPECT_EQ(LimitsFor(ContextPolicy::kDropOldestTurns, {}, 4096).reserve, 512);
  EXPECT_EQ(LimitsFor(ContextPolicy::kDropOldestTurns, {}, 100).reserve, 50);
  EXPECT_EQ(LimitsFor(ContextPolicy::kDropOldestTurns, 7, 100).reserve, 7);
  EXPECT_EQ(LimitsFor(ContextPolicy::kShift, {}, 4096).reserve, 512);
}

TEST(RawContextTest, RawPromptsHaveNothingToDrop) {
  for (const ContextPolicy policy : {ContextPolicy::kError, ContextPolicy::kDropOldestTurns}) {
    const ContextLimits limits = {.context = 10, .reserve = 3, .policy = policy};
    EXPECT_EQ(ErrorText([&] { RequireContext(7, limits, "p"); }), "");
    EXPECT_THAT(ErrorText([&] { RequireContext(8, limits, "p"); }), HasSubstr("p: longer than the model's context"));
  }
  const ContextLimits shift = {
      .context = 10, .reserve = 3, .policy = ContextPolicy::kShift};  // the reply shifts the context
  EXPECT_EQ(ErrorText([&] { RequireContext(10, shift, "p"); }), "");
  EXPECT_THAT(ErrorText([&] { RequireContext(11, shift, "p"); }), HasSubstr("found 11 tokens, expected at most 10"));
}

TEST(ContextPolicy, NamesAContextThatTheUserShortened) {
  const ContextLimits asked = LimitsFor(ContextPolicy::kError, {}, 10, 64);
  EXPECT_THAT(ErrorText([&] { RequireContext(11, asked, "p"); }),
              testing::AllOf(HasSubstr("longer than `context`"), HasSubstr("the model has 64")));
  EXPECT_THAT(ErrorText([&] { RequireContext(11, LimitsFor(ContextPolicy::kError, {}, 10, 10), "p"); }),
              testing::AllOf(HasSubstr("the model's context"), testing::Not(HasSubstr("`context`"))));
}

}  // namespace
}  // namespace stablelm
