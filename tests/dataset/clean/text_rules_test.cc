// Rules that change one text: what they change, what they leave, and how much they say that they changed.
#include "dataset/clean/text_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace stablelm {
namespace {

using namespace std::string_literals;

TEST(ControlCharacters, AreRemovedAndLineEndsBecomeLf) {
  std::string text = "a\0b\x07\tc\x7F\r\nd\re\xC2\x85\xC2\xA0\xC3\x9F\x1B[0m\r\r\n"s;
  EXPECT_EQ(RemoveControlCharacters(text), (ControlChanges{.removed = 5, .line_ends = 4}));
  EXPECT_EQ(text, "ab\tc\nd\ne\xC2\xA0\xC3\x9F[0m\n\n");
  EXPECT_EQ(RemoveControlCharacters(text), ControlChanges{});
}

TEST(ControlCharacters, OfC1AreExactlyThose) {
  std::string text = "\xC2\x80\xC2\x9F\xC2\xA0\xC4\x80";
  EXPECT_EQ(RemoveControlCharacters(text).removed, 2u);
  EXPECT_EQ(text, "\xC2\xA0\xC4\x80");
}

TEST(Strip, RemovesUnicodeWhiteSpaceAtBothEnds) {
  std::string text =
      "\xEF\xBB\xBF \t\xC2\xA0\xE2\x80\x8B"
      "a b\xE3\x80\x80\n\n";
  EXPECT_EQ(Strip(text), 15u);
  EXPECT_EQ(text, "a b");
  EXPECT_EQ(Strip(text), 0u);
  text = " \n\xE2\x80\x8B";
  EXPECT_EQ(Strip(text), 5u);
  EXPECT_EQ(text, "");
  text = "\xF0\x9F\x98\x80 \xC3\xA9";  // ends in characters of several bytes
  EXPECT_EQ(Strip(text), 0u);
}

TEST(CopyCode, LinesAreRemoved) {
  std::string text = "python\nCopy code\nx = 1\n  Copy code \nCopy code";
  EXPECT_EQ(RemoveCopyCode(text), 3u);
  EXPECT_EQ(text, "python\nx = 1");
}

TEST(CopyCode, IsRemovedFromFences) {
  std::string text =
      "```pythonCopy code\nx\n```\n```\nCopy code\ny\n```\n```c++ Copy codeint z;\n```\n```Copy code\nu\n```";
  EXPECT_EQ(RemoveCopyCode(text), 4u);
  EXPECT_EQ(text, "```python\nx\n```\n```\ny\n```\n```c++\nint z;\n```\n```\nu\n```");
}

TEST(CopyCode, InOtherTextStays) {
  for (const std::string& kept : {"Press Copy code to copy."s, "Copy codes\n"s, "copy code\n"s, ""s,
                                  "```not a label Copy code\n```"s, "`Copy code`"s}) {
    std::string text = kept;
    EXPECT_EQ(RemoveCopyCode(text), 0u);
    EXPECT_EQ(text, kept);
  }
}

TEST(Entities, BecomeCharactersOnce) {
  std::string text = "a &lt;b&gt; &amp;amp; &quot;c&quot; &#39;d&#x27; &apos; e&nbsp;f &#8217;";
  EXPECT_EQ(DecodeEntities(text), 10u);
  EXPECT_EQ(text, "a <b> &amp; \"c\" 'd' ' e f \xE2\x80\x99");
}

TEST(Entities, ThatAreNoneStay) {
  for (const std::string& kept :
       {"AT&T; R&D"s, "&lt &copy; &LT;"s, "&#0; &#31; &#x80; &#xD800; &#1114112; &#999999999;"s,
        "&#; &#x; &#-1; &#1a;"s, "&"s, "`&lt;` and\n```\n&amp;\n```"s}) {
    std::string text = kept;
    EXPECT_EQ(DecodeEntities(text), 0u);
    EXPECT_EQ(text, kept);
  }
  std::string text = "`&lt;` &lt; `&gt;` &gt;";
  EXPECT_EQ(DecodeEntities(text), 2u);
  EXPECT_EQ(text, "`&lt;` < `&gt;` >");
}

SourceConversation WithTexts(std::vector<std::pair<Role, std::string>> turns) {
  SourceConversation conversation;
  for (auto& [role, text] : turns) conversation.turns.push_back({role, std::move(text)});
  return conversation;
}

TEST(EndMarkers, DivideAnswersIntoTurns) {
  SourceConversation conversation = WithTexts(
      {{Role::kUser, "q"}, {Role::kAssistant, "a </s> \n \nNext question?\n its answer\nmore</s>\n\n \nthird\nreply"}});
  EXPECT_EQ(SplitEndMarkers(conversation), 2u);
  EXPECT_EQ(conversation, WithTexts({{Role::kUser, "q"},
                                     {Role::kAssistant, "a"},
                                     {Role::kUser, "Next question?"},
                                     {Role::kAssistant, "its answer\nmore"},
                                     {Role::kUser, "third"},
                                     {Role::kAssistant, "reply"}}));
}

TEST(EndMarkers, AloneAreRemoved) {
  SourceConversation conversation =
      WithTexts({{Role::kUser, "q </s>"}, {Role::kAssistant, "a </s> b</s>\nc</s> \n \n"}, {Role::kUser, "u"}});
  EXPECT_EQ(SplitEndMarkers(conversation), 3u);
  EXPECT_EQ(conversation, WithTexts({{Role::kUser, "q </s>"}, {Role::kAssistant, "a  b\nc"}, {Role::kUser, "u"}}));
}

TEST(EndMarkers, OfALastPartOfOneLineLeaveAQuestion) {
  SourceConversation conversation = WithTexts({{Role::kUser, "q"}, {Role::kAssistant, "a</s>\n\nlast question"}});
  conversation.turns[1].loss = false;
  EXPECT_EQ(SplitEndMarkers(conversation), 1u);
  ASSERT_EQ(conversation.turns.size(), 3u);
  EXPECT_EQ(conversation.turns[2].text, "last question");
  EXPECT_FALSE(conversation.turns[1].loss);
  EXPECT_FALSE(conversation.turns[2].loss);
}

TEST(EndMarkers, InCodeOrBesideTheirOpeningStay) {
  const SourceConversation kept = WithTexts({{Role::kUser, "q"},
                                             {Role::kAssistant, "`</s>` ends it\n```\na</s>\n\nb\n```"},
                                             {Role::kUser, "q"},
                                             {Role::kAssistant, "<s>struck</s>\n\nout"}});
  SourceConversation conversation = kept;
  EXPECT_EQ(SplitEndMarkers(conversation), 0u);
  EXPECT_EQ(conversation, kept);
}

TEST(Refusals, AreKnownByTheirBeginning) {
  EXPECT_TRUE(IsRefusal("As an AI language model, I do not have feelings."));
  EXPECT_TRUE(IsRefusal("I\xE2\x80\x99m sorry, but I can\xE2\x80\x99t help with that."));
  EXPECT_FALSE(IsRefusal("You can call me Vicuna, I was trained as a language model."));
  EXPECT_FALSE(IsRefusal("Paris is the capital of France."));
  EXPECT_FALSE(IsRefusal(std::string(200, 'x') + "As an AI language model"));
  EXPECT_FALSE(IsRefusal(""));
}

TEST(ErrorMessages, AreKnownWhenTheyAreAll) {
  EXPECT_TRUE(IsErrorMessage("Too many requests in 1 hour. Try again later."));
  EXPECT_TRUE(IsErrorMessage("!\nSomething went wrong. If this issue persists please contact us"));
  EXPECT_FALSE(IsErrorMessage("A server answers 429 for too many requests."));
  EXPECT_FALSE(IsErrorMessage("Too many requests " + std::string(300, 'x')));
}

}  // namespace
}  // namespace stablelm
