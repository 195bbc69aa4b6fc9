#include "prompt/chat_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prompt/chat_setup.h"
#include "prompt/prompt_testing.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

std::string RefusalOfRecord(const std::string& json) {
  return ErrorText([&] { ParseChatRecord(json, "R"); });
}

TEST(ChatRecordTest, TheCardsRecord) {
  const ChatRecord card = CardChatRecord();
  EXPECT_EQ(card.prompt_template, PromptTemplate::kStableLmTuned);
  EXPECT_TRUE(card.system->starts_with("# StableLM Tuned (Alpha version)\n- "));
  EXPECT_TRUE(card.system->ends_with(".\n"));
  EXPECT_THAT(card.stop_tokens,
              testing::UnorderedElementsAre("<|USER|>", "<|ASSISTANT|>", "<|SYSTEM|>", "<|padding|>", "<|endoftext|>"));
  EXPECT_EQ(card.generation, (SettingValues{{"temperature", 0.7}}));
}

TEST(ChatRecordTest, WritesWhatItReads) {
  ChatRecord record = CardChatRecord();
  record.system = "caf\u00E9 \"<|USER|>\"\n\x01\U0001F600";
  record.generation = {{"temperature", 0.1}, {"top_k", 3}, {"do_sample", 1}};
  EXPECT_EQ(ParseChatRecord(WriteChatRecord(record), "R"), record);
  const ChatRecord bare;
  EXPECT_EQ(ParseChatRecord(WriteChatRecord(bare), "R"), bare);
  record.system = "\xFF";
  EXPECT_THAT(ErrorText([&] { WriteChatRecord(record); }), HasSubstr("UTF-8"));
}

TEST(ChatRecordTest, WhatIsAbsentIsTheTemplates) {
  EXPECT_EQ(ParseChatRecord(R"({"template": "stablelm-tuned", "generation": {"temperature": 0.7}})", "R"),
            CardChatRecord());
  EXPECT_EQ(ParseChatRecord(R"({"template": "stablelm-tuned", "system": null})", "R").system, std::nullopt);
  EXPECT_EQ(ParseChatRecord(R"({"template": "oasst-neox"})", "R").system, std::nullopt);
}

TEST(ChatRecordTest, IsStrict) {
  const struct {
    const char* json;
    const char* says;
  } kCases[] = {
      {"", "empty"},
      {"[]", "R: not a chat record"},
      {"{}", "R: \"template\": missing"},
      {R"({"template": "stablelm-tune"})", "did you mean stablelm-tuned?"},
      {R"({"template": "chatml"})", "R: \"template\": unknown template: found"},
      {R"({"template": null})", "R: \"template\": not a string"},
      {R"({"template": "none", "sytem": "x"})", "did you mean \"system\"?"},
      {R"({"template": "none", "system": 3})", "R: \"system\": not text"},
      {R"({"template": "none", "stop_tokens": "x"})", "R: \"stop_tokens\": not a list"},
      {R"({"template": "none", "stop_tokens": ["a", 1]})", "\"stop_tokens\"[1]: not a string"},
      {R"({"template": "none", "stop_tokens": [""]})", "\"stop_tokens\"[0]: empty"},
      {R"({"template": "none", "generation": []})", "\"generation\": not an object"},
      {R"({"template": "none", "generation": {"temprature": 1}})", "did you mean \"temperature\"?"},
      {R"({"template": "none", "generation": {"temperature": -1}})", "R: \"generation.temperature\": number out of"},
      {R"({"template": "none", "generation": {"top_p": 2}})", "expected a number from 0.0 to 1.0"},
      {R"({"template": "none", "generation": {"top_k": 1.5}})", "not a whole number"},
      {R"({"template": "none", "generation": {"top_k": "3"}})", "not a number"},
      {R"({"template": "none", "generation": {"do_sample": 1}})", "not a flag"},
      {R"({"template": "none", "template": "alpaca"})", "appears twice"},
  };
  for (const auto& c : kCases) EXPECT_THAT(RefusalOfRecord(c.json), HasSubstr(c.says)) << c.json;
}

// flag > conversation > record > template > none
TEST(ChatSetupTest, TheOrderOfSystemTexts) {
  ChatRecord record = CardChatRecord();
  record.system = "of the record";
  const Conversation bare = {User("u")}, own = {System("its own"), User("u")};
  const auto system = [&](const ChatOptions& options, const Conversation& conversation, const std::string& from) {
    ChatSetup setup = ResolveChatSetup(options, record, kChatRecordFile, {});
    const Conversation result = WithSystemMessage(conversation, setup);
    EXPECT_EQ(setup.system_from, from);
    EXPECT_EQ(result.back(), User("u"));
    return result.size() == 2 ? result[0].text : "(none)";
  };
  EXPECT_EQ(system({}, bare, kChatRecordFile), "of the record");
  EXPECT_EQ(system({}, own, "the conversation"), "its own");
  EXPECT_EQ(system({.prompt_template = {}, .system = "flag", .no_system = false}, own, "--system"), "flag");
  EXPECT_EQ(system({.prompt_template = {}, .system = {}, .no_system = true}, own, "--no-system"), "(none)");
  EXPECT_EQ(system({.prompt_template = {}, .system = {}, .no_system = true}, bare, "--no-system"), "(none)");
  EXPECT_EQ(
      system({.prompt_template = PromptTemplate::kAlpaca, .system = {}, .no_system = false}, bare, "the template"),
      *DefaultSystemText(PromptTemplate::kAlpaca));
  EXPECT_EQ(system({.prompt_template = PromptTemplate::kNone, .system = {}, .no_system = false}, bare, "none"),
            "(none)");
}

TEST(ChatSetupTest, AModelWithoutATemplateSaysHowToGoOn) {
  EXPECT_THAT(ErrorText([] { ResolveChatSetup({}, {}, {}, {}); }), HasSubstr("`prompt_template=alpaca`"));
  EXPECT_THAT(ErrorText([] { ResolveChatSetup({}, {}, {}, PromptTemplate::kOasstNeox); }),
              HasSubstr("`prompt_template=oasst-neox`"));
  const ChatSetup setup =
      ResolveChatSetup({.prompt_template = PromptTemplate::kAlpaca, .system = {}, .no_system = false}, {}, {}, {});
  EXPECT_EQ(setup.template_from, "--template");
  EXPECT_EQ(setup.system, DefaultSystemText(PromptTemplate::kAlpaca));
}

}  // namespace
}  // namespace stablelm
