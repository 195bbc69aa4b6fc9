#include "prompt/conversation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "error_info.h"
#include "prompt/prompt_testing.h"

namespace stablelm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Conversation Parse(const std::string& json) { return ParseMessages(json, "F.json"); }
std::string Refusal(const std::string& json) {
  return ErrorText([&] { Parse(json); });
}

TEST(ConversationTest, ReadsOpenAisMessages) {
  const Conversation want = {System("be kind\n"), User(" hi "), Assistant(""), User("caf\u00E9 \U0001F600")};
  const std::string list = R"([{"role":"system","content":"be kind\n"}, {"role":"user","content":" hi "},
      {"role":"assistant","content":"","refusal":null}, {"content":"café 😀","role":"user"}])";
  EXPECT_EQ(Parse(list), want);
  EXPECT_EQ(Parse("{\"messages\": " + list + "}"), want);
}

TEST(ConversationTest, ContentMayBeAListOfTexts) {
  EXPECT_EQ(Parse(R"([{"role":"user","content":[{"type":"text","text":"a "},{"type":"text","text":"b"}]}])"),
            Conversation{User("a \nb")});
  EXPECT_EQ(Parse(R"([{"role":"user","content":[]}])"), Conversation{User("")});
}

TEST(ConversationTest, RefusesNamingTheField) {
  const std::string deep(100000, '[');
  const struct {
    std::string json;
    const char* says;
  } kCases[] = {
      {"", "F.json: the file is empty"},
      {"[", "F.json: not valid JSON"},
      {"[]", "F.json: messages: an empty conversation"},
      {"{}", "F.json: messages: missing"},
      {"null", "F.json: messages: not a list of messages"},
      {"\"hi\"", "F.json: messages: not a list of messages"},
      {R"({"messages":[],"model":"x"})", "F.json: unknown field \"model\""},
      {R"({"message":[]})", "did you mean \"messages\"?"},
      {R"(["hi"])", "F.json: messages[0]: not a message"},
      {R"([{"role":"user"}])", "F.json: messages[0].content: missing"},
      {R"([{"content":"x"}])", "F.json: messages[0].role: missing"},
      {R"([{"role":"user","content":null}])", "F.json: messages[0].content: missing"},
      {R"([{"role":1,"content":"x"}])", "F.json: messages[0].role: not a string"},
      {R"([{"role":"user","content":"x"},{"role":"asistant","content":"x"}])",
       "F.json: messages[1].role: unknown role: found \"asistant\""},
      {R"([{"role":"user","content":"x"},{"role":"asistant","content":"x"}])", "did you mean \"assistant\"?"},
      {R"([{"role":"tool","content":"x"}])", "messages[0].role: unknown role"},
      {R"([{"role":"<|USER|>","content":"x"}])", "messages[0].role: unknown role"},
      {R"([{"role":"user","content":7}])", "F.json: messages[0].content: not text: found 7"},
      {R"([{"role":"user","content":{"text":"x"}}])", "messages[0].content: not text"},
      {R"([{"role":"user","content":["x"]}])", "messages[0].content[0]: not a part of a message"},
      {R"([{"role":"user","content":[{"type":"image_url","image_url":"x"}]}])", "messages[0].content[0].type"},
      {R"([{"role":"user","content":[{"type":"text","text":1}]}])", "messages[0].content[0].text: not a string"},
      {R"([{"role":"user","content":[{"text":"x"}]}])", "messages[0].content[0].type: missing"},
      {R"([{"role":"user","content":[{"type":"text","text":"x","cache":1}]}])",
       "messages[0].content[0]: unknown field"},
      {R"([{"role":"user","content":"x","name":"Eve"}])", "messages[0]: unknown field \"name\""},
      {R"([{"role":"user","content":"x","contnt":"y"}])", "did you mean \"content\"?"},
      {R"([{"role":"user","role":"system","content":"x"}])", "appears twice"},
      {R"([{"role":"system","content":"x"}])", "F.json: messages: an empty conversation"},
      {R"([{"role":"assistant","content":"x"}])", "F.json: messages[0].role: the assistant speaks first"},
      {R"([{"role":"system","content":"s"},{"role":"assistant","content":"x"}])", "messages[1].role: the assistant"},
      {R"([{"role":"user","content":"a"},{"role":"user","content":"b"}])",
       "messages[1].role: two messages of the user"},
      {R"([{"role":"user","content":"a"},{"role":"system","content":"b"}])", "messages[1].role: a system message in"},
      {R"([{"role":"system","content":"a"},{"role":"system","content":"b"}])", "messages[1].role: a system message"},
      {"[{\"role\":\"user\",\"content\":\"a\xFF\"}]", "not valid UTF-8 at line 1"},
      {R"([{"role":"user","content":"\ud800"}])", "not valid JSON"},
      {deep, "nested too deeply"},
  };
  for (const auto& c : kCases) EXPECT_THAT(Refusal(c.json), HasSubstr(c.says)) << c.json.substr(0, 200);
}

// The words of other programs' files are known.
TEST(ConversationTest, UnknownNamesHaveANextStep) {
  const std::pair<const char*, const char*> cases[] = {
      {R"([{"role":"human","content":"x"}])", "\"user\""},
      {R"([{"role":"gpt","content":"x"}])", "\"assistant\""},
      {R"([{"role":"asistant","content":"x"}])", "\"assistant\""},
      {R"([{"role":"tool","content":"x"}])", "leave the message out"},
      {R"([{"from":"human","value":"x"}])", "\"role\""},
      {R"([{"role":"user","text":"x"}])", "\"content\""},
      {R"([{"role":"user","content":"x","name":"y"}])", "leave it out"},
      {R"({"conversations":[]})", "\"messages\""},
      {R"({"messages":[],"model":"m"})", "leave it out"},
      {"[]", "\"user\""}};
  for (const auto& [json, hint] : cases) {
    EXPECT_THAT(InfoOf([&, &json = json] { ParseMessages(json, "F.json"); }).hint, HasSubstr(hint)) << json;
  }
  EXPECT_THAT(InfoOf([] { ParseMessages(R"([{"role":"user","content":"x","name":"y"}])", "F.json"); }).found, "\"y\"");
}

TEST(ConversationTest, ConversationsOfProgramsAreCheckedToo) {
  EXPECT_EQ(ErrorText([] { CheckConversation({System("s"), User("u"), Assistant("a")}, ""); }), "");
  EXPECT_THAT(ErrorText([] { CheckConversation({User("a\xC3(")}, ""); }),
              HasSubstr("messages[0].content: not UTF-8 at byte 1"));
  EXPECT_THAT(ErrorText([] { CheckConversation({}, ""); }), HasSubstr("messages: an empty conversation"));
}

TEST(ConversationTest, LargeTextsAreTakenAndEndlessOnesRefused) {
  const std::string text(1 << 20, 'a');
  EXPECT_EQ(Parse("[{\"role\":\"user\",\"content\":\"" + text + "\"}]")[0].text, text);
  EXPECT_THAT(Refusal(std::string((64 << 20) + 1, ' ')), HasSubstr("too large"));
}

}  // namespace
}  // namespace stablelm
