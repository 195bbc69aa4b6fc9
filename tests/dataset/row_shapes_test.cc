// From rows to conversations: every shape of the card's data sets, OpenAI's and FastChat's, and rows that cannot be
// used.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataset/read/row_reader.h"
#include "dataset/rows/placeholder.h"
#include "dataset/rows/row_shapes.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ShapedRow Shape(ShapeRules rules, std::string_view json) {
  const std::string padded = std::string(json) + std::string(kRowPadding, ' ');
  return RowShaper(std::move(rules)).Shape(std::string_view(padded).substr(0, json.size()));
}
ShapedRow Shape(SourceKind kind, std::string_view json) { return Shape(ShapeRules{.kind = kind}, json); }

SourceConversation One(ShapeRules rules, std::string_view json) {
  ShapedRow row = Shape(std::move(rules), json);
  EXPECT_EQ(row.problem.words, "") << json;
  EXPECT_EQ(row.conversations.size(), 1U) << json;
  return row.conversations.empty() ? SourceConversation{} : row.conversations.front();
}
SourceConversation One(SourceKind kind, std::string_view json) { return One(ShapeRules{.kind = kind}, json); }

SourceTurn UserTurn(std::string text, bool loss = true) { return {Role::kUser, std::move(text), loss}; }
SourceTurn Answer(std::string text, bool loss = true) { return {Role::kAssistant, std::move(text), loss}; }

TEST(RowShapes, MessagesWithPartsAndWeights) {
  const SourceConversation one = One(SourceKind::kMessages, R"({"messages": [{"role": "system", "content": "S"},
      {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
      {"role": "assistant", "content": "c", "weight": 0, "tool_calls": []},
      {"role": "user", "content": "d"}, {"role": "assistant", "content": "e", "weight": 1, "tool_calls": null}]})");
  EXPECT_EQ(one.system, "S");
  EXPECT_THAT(one.turns, ElementsAre(UserTurn("a\nb"), Answer("c", false), UserTurn("d"), Answer("e")));
}

TEST(RowShapes, AListOfMessagesIsARow) {
  EXPECT_THAT(One(SourceKind::kMessages, R"([{"role": "user", "content": "a"}])").turns, ElementsAre(UserTurn("a")));
}

TEST(RowShapes, WhatMessagesCannotBeUsedForIsNamed) {
  const auto reason = [](std::string_view message) {
    return Shape(SourceKind::kMessages, "{\"messages\": [" + std::string(message) + "]}").problem.name;
  };
  EXPECT_EQ(reason(R"({"role": "tool", "content": "4"})"), "tool");
  EXPECT_EQ(reason(R"({"role": "function", "content": "4"})"), "tool");
  EXPECT_EQ(reason(R"({"role": "assistant", "content": null, "tool_calls": [{"id": "x"}]})"), "tool");
  EXPECT_EQ(reason(R"({"role": "assistant", "content": null})"), "null-content");
  EXPECT_EQ(reason(R"({"role": "user"})"), "null-content");
  EXPECT_EQ(reason(R"({"role": "user", "content": [{"type": "image_url", "image_url": "u"}]})"), "not-text");
  EXPECT_EQ(reason(R"({"role": "narrator", "content": "x"})"), "unknown-role");
  EXPECT_EQ(reason(R"({"content": "x"})"), "unknown-role");
  EXPECT_EQ(reason(R"({"role": "user", "content": "x"}, {"role": "system", "content": "x"})"), "late-system");
  EXPECT_EQ(reason(R"({"role": "user", "content": "x", "weight": 0.5})"), "wrong-type");
  EXPECT_EQ(reason("7"), "wrong-type");
  EXPECT_EQ(Shape(SourceKind::kMessages, "{\"messages\": [").problem.name, "not-json");
  EXPECT_EQ(Shape(SourceKind::kMessages, "{}").problem.name, "missing-column");
  EXPECT_EQ(Shape(SourceKind::kMessages, R"({"messages": null})").problem.name, "null-content");
}

TEST(RowShapes, ShareGptKnowsItsNamesForRoles) {
  const SourceConversation one = One(SourceKind::kShareGpt, R"({"id": "x_0", "conversations": [
      {"from": "system", "value": "s"}, {"from": "human", "value": "a"}, {"from": "chatgpt", "value": "b"},
      {"from": "user", "value": "c"}, {"from": "bard", "value": ""}]})");
  EXPECT_EQ(one.id, "x_0");
  EXPECT_EQ(one.system, "s");
  EXPECT_THAT(one.turns, ElementsAre(UserTurn("a"), Answer("b"), UserTurn("c"), Answer("")));
}

TEST(RowShapes, AlpacaJoinsTheInputAndReadsInstances) {
  EXPECT_THAT(
      One(SourceKind::kAlpaca, R"({"instruction": "Add.", "input": "1 2", "output": "3", "text": "ignored"})").turns,
      ElementsAre(UserTurn("Add.\n1 2"), Answer("3")));
  EXPECT_THAT(One(SourceKind::kAlpaca, R"({"instruction": "Hi", "input": " \n", "response": "Hello"})").turns,
              ElementsAre(UserTurn("Hi"), Answer("Hello")));
  const ShapedRow row = Shape(SourceKind::kAlpaca, R"({"id": "seed_1", "instruction": "Sort.", "instances": [
      {"input": "b a", "output": "a b"}, {"input": "d c", "output": "c d"}]})");
  ASSERT_EQ(row.conversations.size(), 2U);
  EXPECT_EQ(row.conversations[1].id, "seed_1#1");
  EXPECT_THAT(row.conversations[1].turns, ElementsAre(UserTurn("Sort.\nd c"), Answer("c d")));
}

TEST(RowShapes, PlaceholdersAreInputsOnlyWhereAsked) {
  const char* row = R"({"instruction": "Hi", "input": "<No input>", "output": "Hello"})";
  EXPECT_THAT(One(SourceKind::kAlpaca, row).turns[0], UserTurn("Hi\n<No input>"));
  const ShapedRow cleaned = Shape(ShapeRules{.kind = SourceKind::kAlpaca, .placeholders = true}, row);
  EXPECT_EQ(cleaned.placeholders, 1U);
  EXPECT_EQ(cleaned.conversations[0].turns[0], UserTurn("Hi"));
}

TEST(RowShapes, PlaceholdersInAnySpelling) {
  for (const char* input : {"noinput", "<noinput>", "No input", "No Input.", "<No input>", "[no input]",
                            "(No input required)", "no_input", "\"noinput\"", " no-input\n", "None", "N/A",
                            "Not applicable.", "NO  INPUT", "No input needed.", "<noinput>.", "\u00a0None\u3000"}) {
    EXPECT_TRUE(IsPlaceholder(input)) << input;
  }
  for (const char* input : {"", "no", "input", "No input devices were found", "nothing", "<b>noinput</b>", "0", "na",
                            "None of the above", "Noinputs", "<", ".", "()"}) {
    EXPECT_FALSE(IsPlaceholder(input)) << input;
  }
}

TEST(RowShapes, HhIsSplitAtItsSeparatorsNotAtBlankLines) {
  EXPECT_THAT(One(SourceKind::kHh,
                  R"({"chosen": "\n\nHuman: a\n\nb\n\nAssistant: c\n\n\nHuman:d\n\nAssistant:", "rejected": ""})")
                  .turns,
              ElementsAre(UserTurn("a\n\nb"), Answer("c\n"), UserTurn("d"), Answer("")));
  EXPECT_THAT(
      One(SourceKind::kHh, R"({"prompt": "\n\nHuman: a\n\nAssistant:", "response": " b", "chosen": " b"})").turns,
      ElementsAre(UserTurn("a"), Answer(" b")));
  EXPECT_EQ(Shape(SourceKind::kHh, R"({"chosen": "Human: a"})").problem.name, "not-a-transcript");
}

TEST(RowShapes, DollyKeepsItsContext) {
  const char* row = R"({"instruction": "Who?", "context": "Ann came.", "response": "Ann", "category": "closed_qa"})";
  EXPECT_THAT(One(SourceKind::kDolly, row).turns, ElementsAre(UserTurn("Who?\nAnn came."), Answer("Ann")));
  const SourceConversation author = One({.kind = SourceKind::kDolly, .manner = Manner::kChatCombined}, row);
  EXPECT_THAT(author.turns, ElementsAre(UserTurn("Who?"), Answer("Ann")));  // the author's scripts drop it here
  EXPECT_EQ(author.system, "You are to answer a user's question, which will begin in the next message.");
  EXPECT_THAT(
      One(SourceKind::kDolly, R"({"category": "open_qa", "instruction": "a", "input": "", "output": "b"})").turns,
      ElementsAre(UserTurn("a"), Answer("b")));
}

TEST(RowShapes, MarkersGiveTheRoles) {
  const SourceConversation one =
      One(SourceKind::kMarkers, R"({"text": "<|SYSTEM|>s\n<|USER|>a <|x|> b<|ASSISTANT|>c<|USER|><|ASSISTANT|>"})");
  EXPECT_EQ(one.system, "s\n");
  EXPECT_THAT(one.turns, ElementsAre(UserTurn("a <|x|> b"), Answer("c"), UserTurn(""), Answer("")));
  EXPECT_EQ(Shape(SourceKind::kMarkers, R"({"text": "x<|USER|>a"})").problem.name, "no-markers");
  EXPECT_EQ(Shape(SourceKind::kMarkers, R"({"text": ""})").problem.name, "no-markers");
}

TEST(RowShapes, ColumnsAreNamesOrPaths) {
  ShapeRules rules{.kind = SourceKind::kColumns};
  rules.columns.user = "q.text";
  rules.columns.assistant = "a";
  rules.columns.system = "sys";
  rules.columns.id = "n";
  const SourceConversation one = One(rules, R"({"q": {"text": "2+2?"}, "a": 4, "sys": null, "n": 17})");
  EXPECT_THAT(one.turns, ElementsAre(UserTurn("2+2?"), Answer("4")));
  EXPECT_EQ(one.id, "17");
  EXPECT_FALSE(one.system);
  const RowProblem missing = Shape(rules, R"({"q": {"text": "x"}, "an": "y"})").problem;
  EXPECT_TRUE(missing.missing_column);
  EXPECT_THAT(missing.words, HasSubstr("no column \"a\"; the row has q, an"));

  ShapeRules turns{.kind = SourceKind::kColumns};
  turns.columns.turns = "data.log";
  turns.columns.turn_role = "who";
  turns.columns.turn_text = "said";
  EXPECT_THAT(One(turns, R"({"data": {"log": [{"who": "User", "said": "a"}, {"who": "bot", "said": "b"}]}})").turns,
              ElementsAre(UserTurn("a"), Answer("b")));
}

TEST(RowShapes, DocumentsAreTexts) {
  const SourceConversation one = One(SourceKind::kText, R"({"text": "Once\nupon a time \ud83d\ude00"})");
  EXPECT_EQ(one.document, "Once\nupon a time \xF0\x9F\x98\x80");
  EXPECT_TRUE(one.turns.empty());
}

// The words of a problem are kept in the manifest and the report.
TEST(RowShapes, TheWordsOfAProblemAreShort) {
  std::string row = "{\"" + std::string(1'000'000, 'k') + "\": 1";
  for (int i = 0; i < 100'000; ++i) row += ", \"column " + std::to_string(i) + "\": 1";
  const std::string words = Shape(SourceKind::kText, row + "}").problem.words;
  EXPECT_THAT(words, HasSubstr("the row has column 0, column 1, "));
  EXPECT_THAT(words, HasSubstr(" more"));
  EXPECT_LT(words.size(), 4000U);
}

TEST(ColumnsToRead, AreThoseOfTheKindThatAreThere) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(ColumnsToRead({.kind = SourceKind::kDolly}, {"x", "response", "category", "instruction", "y"}),
            (Names{"instruction", "response", "category"}));
  EXPECT_EQ(ColumnsToRead({.kind = SourceKind::kHh}, {"chosen", "rejected", "id"}), (Names{"chosen", "id"}));
  EXPECT_EQ(ColumnsToRead({.kind = SourceKind::kHh}, {"prompt", "response", "chosen"}),
            (Names{"prompt", "chosen", "response"}));
  ShapeRules rules{.kind = SourceKind::kColumns};
  rules.columns = {.user = "a.q", .assistant = "b.c", .id = "id\"\n"};
  EXPECT_EQ(ColumnsToRead(rules, {"a", "b.c", "b", "id\"\n", "z"}), (Names{"a", "b.c", "id\"\n"}));
  // An error names all that are there.
  EXPECT_EQ(ColumnsToRead(rules, {"a", "b.c", "b"}), Names{});
  EXPECT_EQ(ColumnsToRead({.kind = SourceKind::kPromptReply}, {"prompt", "reply"}), Names{});
}

TEST(RowShapes, ALongRowOfManyValuesIsBroken) {
  std::string many = "{\"prompt\": \"a\", \"response\": \"b\", \"x\": [1";
  while (many.size() < size_t{17} << 20) many += ",1";
  EXPECT_EQ(Shape({.kind = SourceKind::kPromptReply}, many + "]}").problem.name, "broken-row");
  const std::string text = "{\"prompt\": \"a\", \"response\": \"" + std::string(size_t{17} << 20, ',') + "\\\"\"}";
  EXPECT_EQ(Shape({.kind = SourceKind::kPromptReply}, text).conversations.size(), 1U);
}

}  // namespace
}  // namespace stablelm
