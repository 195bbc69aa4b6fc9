// The order of the cleaning steps, and that each step is off when its switch is.
#include "dataset/clean/clean_conversation.h"
#include "dataset/clean/clean_testing.h"

#include <gtest/gtest.h>

#include <string>

namespace stablelm {
namespace {

constexpr CleanRules kOff = {
    .control_characters = false, .exact_duplicates = false, .role_order = true, .strip = false};

CleanRules All() {
  CleanRules rules;
  for (bool CleanRules::*step :
       {&CleanRules::html, &CleanRules::entities, &CleanRules::copy_code, &CleanRules::end_markers,
        &CleanRules::english, &CleanRules::refusals, &CleanRules::error_messages}) {
    rules.*step = true;
  }
  return rules;
}

const std::string kEveryFault =
    " <div class=\"markdown\"><p>a&amp;amp;b&#7;</p><pre><button>Copy code</button><code>x &lt; y\n</code></pre>"
    "<p>Copy code</p><p>end&lt;/s&gt;</p></div> ";

TEST(CleanConversation, DoesEveryStepInOrder) {
  SourceConversation conversation = Of("q &lt;b&gt;\r\n", kEveryFault);
  conversation.system = " s\x07 ";
  ChangeCounts changes;
  EXPECT_EQ(CleanConversation(conversation, All(), changes), std::nullopt);
  EXPECT_EQ(conversation.turns[0].text, "q <b>");
  EXPECT_EQ(conversation.turns[1].text, "a&amp;b\n\n```\nx < y\n```\n\n\nend");
  EXPECT_EQ(conversation.system, " s ");
  ChangeCounts expected;
  expected[TextChange::kHtml] = 1;
  expected[TextChange::kEntities] = 2;
  expected[TextChange::kCopyCode] = 1;
  expected[TextChange::kControlCharacters] = 2;
  expected[TextChange::kLineEnds] = 1;
  expected[TextChange::kEndMarkers] = 1;
  expected[TextChange::kStripped] = 1;
  EXPECT_EQ(changes, expected);
}

TEST(CleanConversation, LeavesTextsAloneWhenStepsAreOff) {
  const SourceConversation kept = Of(" As an AI language model &lt; \x07\r\n", kEveryFault + "</s>");
  SourceConversation conversation = kept;
  ChangeCounts changes;
  EXPECT_EQ(CleanConversation(conversation, kOff, changes), std::nullopt);
  EXPECT_EQ(conversation, kept);
  EXPECT_EQ(changes, ChangeCounts{});
}

TEST(CleanConversation, KeepsEntitiesOfHtmlThatIsNotConverted) {
  CleanRules rules = kOff;
  rules.entities = true;
  SourceConversation conversation = Of("<p>a &lt; b</p>", "a &lt; b");
  ChangeCounts changes;
  CleanConversation(conversation, rules, changes);
  EXPECT_EQ(conversation, Of("<p>a &lt; b</p>", "a < b"));
  // Too large to be converted: left as it is, and counted.
  rules.html = true;
  const std::string large = "<p>a &lt; b</p>" + std::string(size_t{1} << 20, ' ') + "<p>c</p>";
  conversation = Of(large, "a");
  changes = {};
  CleanConversation(conversation, rules, changes);
  EXPECT_EQ(conversation, Of(large, "a"));
  EXPECT_EQ(changes[TextChange::kHtmlRefused], 1u);
}

TEST(CleanConversation, DropsByReason) {
  const auto why = [](SourceConversation conversation) {
    ChangeCounts changes;
    const std::optional<DropReason> reason = CleanConversation(conversation, All(), changes);
    return reason ? std::string(NameOf(*reason)) : "kept";
  };
  std::string german;
  for (int i = 0; i < 5; ++i) german += "Der alte Wärter ging jeden Morgen hinunter zum Hafen und zählte die Boote. ";
  EXPECT_EQ(why(Of("q", "As an AI language model, no.")), "refusal");
  EXPECT_EQ(why(Of("q", "Too many requests in 1 hour. Try again later.")), "error-message");
  EXPECT_EQ(why(Of("Erzähl mir etwas.", german)), "not-english");
  EXPECT_EQ(why({.document = german}), "not-english");
  EXPECT_EQ(why({.document = ""}), "empty-turn");
  EXPECT_EQ(why({.document = "Some text."}), "kept");
  EXPECT_EQ(why(Of("q", " \x07 ")), "empty-turn");
}

}  // namespace
}  // namespace stablelm
