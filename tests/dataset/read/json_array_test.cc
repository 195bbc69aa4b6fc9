// Rows of a JSON array: the elements as they are written, broken ones reported and left behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataset/read/collect_rows.h"
#include "error_info.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class JsonArray : public testing::Test {
 protected:
  std::vector<std::string> Rows(std::string_view text) const { return Summary(files_.Read("a.json", text)); }
  ErrorInfo Failure(std::string_view text) const {
    return InfoOf([&] { files_.Read("a.json", text); });
  }
  std::string Where(const std::string& line) const { return files_.Path("a.json").string() + ": line " + line; }
  RowFiles files_;
};

TEST_F(JsonArray, GivesItsElementsAsWritten) {
  EXPECT_THAT(Rows(R"([{"a": [1, {"b": "]}"}]}, "x,]", 12 , null,[],{}])"),
              ElementsAre(R"(1:{"a": [1, {"b": "]}"}]})", R"(1:"x,]")", "1:12", "1:null", "1:[]", "1:{}"));
  EXPECT_THAT(Rows("\xEF\xBB\xBF \n[\r\n  {\"a\":\n 1}\n\n,\n\t{\"b\":2}\n]\r\n"),
              ElementsAre("3:{\"a\":\n 1}", "7:{\"b\":2}"));
  EXPECT_THAT(Rows(" [ ] "), ElementsAre());
}

TEST_F(JsonArray, KnowsEscapesInStrings) {
  EXPECT_THAT(Rows(R"([{"a": "\""}, {"b": "\\"}, {"c": "\\\"]"}, {"d\\": "\\\\"}])"),
              ElementsAre(R"(1:{"a": "\""})", R"(1:{"b": "\\"})", R"(1:{"c": "\\\"]"})", R"(1:{"d\\": "\\\\"})"));
}

TEST_F(JsonArray, NumbersItsRows) {
  const std::vector<KeptRow> rows = files_.Read("a.json", "[1,\n2,,\n3]");
  ASSERT_EQ(rows.size(), 4u);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].index, i);
}

TEST_F(JsonArray, AFaultBetweenRowsCostsNoRow) {
  EXPECT_THAT(Rows("[1,\n2,\n]"), ElementsAre("1:1", "2:2", "3!"));
  EXPECT_THAT(Rows("[1,\n,2]"), ElementsAre("1:1", "2!", "2:2"));
  EXPECT_THAT(Rows("[,1]"), ElementsAre("1!", "1:1"));
  EXPECT_THAT(Rows("[{}\n{}]"), ElementsAre("1:{}", "2!", "2:{}"));
  EXPECT_THAT(Rows("[{}},\n{}]"), ElementsAre("1:{}", "1!", "2:{}"));
  EXPECT_THAT(Rows("[{}:x,\n{}]"), ElementsAre("1:{}", "1!", "2:{}"));
}

TEST_F(JsonArray, ARowWithWrongBracketsEndsWhereItsOutermostOnesDo) {
  EXPECT_THAT(Rows(R"([{"a": [1, 2}, {"b": 1}])"), ElementsAre(R"(1:{"a": [1, 2})", R"(1:{"b": 1})"));
  EXPECT_THAT(Rows(R"([{"a": [1]]}, {"b": 1}])"), ElementsAre(R"(1:{"a": [1]]})", R"(1:{"b": 1})"));
}

TEST_F(JsonArray, ALineThatEndsInsideAStringCostsItsRow) {
  EXPECT_THAT(Rows("[\n {\"a\": \"x},\n {\"a\": 2},\n {\"a\": 3}\n]"),
              ElementsAre("2!", "3:{\"a\": 2}", "4:{\"a\": 3}"));
  EXPECT_THAT(Rows("[\n {\"a\": \"he said \"hi\"},\n {\"a\": 2}\n]\n"), ElementsAre("2!", "3:{\"a\": 2}"));
  const std::vector<KeptRow> rows =
      files_.Read("a.json", "[\n  {\n    \"a\": \"x,\n    \"b\": {\n    }\n  },\n  {\n    \"a\": \"y\"\n  }\n]\n");
  ASSERT_THAT(Summary(rows), ElementsAre("2!", "7:{\n    \"a\": \"y\"\n  }"));
  EXPECT_THAT(rows[0].problem, HasSubstr("line 3 ends inside a string"));
  EXPECT_THAT(rows[0].problem, HasSubstr("found at line 7"));
  EXPECT_THAT(Rows("[{\"a\": 1},\n{\"a\": \"x},\n{\"a\": 2}]"), ElementsAre("1:{\"a\": 1}", "2!", "3:{\"a\": 2}"));
  EXPECT_THAT(Rows("[{\"a\": 1},\n {\"a\": \"x}\n]\n"), ElementsAre("1:{\"a\": 1}", "2!"));
}

TEST_F(JsonArray, ARowWithoutEndCostsItself) {
  EXPECT_THAT(Rows("[\n {\"a\": 1,\n {\"a\": 2},\n {\"a\": 3}\n]"), ElementsAre("2!", "3:{\"a\": 2}", "4:{\"a\": 3}"));
  EXPECT_THAT(Rows("[\n {\"a\": 1},\n {\"a\": 2\n]\n\n"), ElementsAre("2:{\"a\": 1}", "3!"));
}

TEST_F(JsonArray, EndsTheFileWhereNoNextRowCanBeFound) {
  EXPECT_THAT(Failure("[1,\n2\n"), Names(Where("3"), "the end of the file"));
  EXPECT_THAT(Failure("["), Names(Where("1"), "the end of the file"));
  EXPECT_THAT(Failure("[{\"a\": 1},\n{\"a\": \"x"), Names(Where("2"), "the end of the file"));
  EXPECT_THAT(Failure("[{\"a\": 1,{\"b\": 2},{\"c\": 3}]"), Names(Where("1"), "the end of the file"));
  EXPECT_THAT(Failure("[1]\n]"), Names(Where("2"), "\"]\""));
  EXPECT_THAT(Failure("[1]\n[2]"), Names(Where("2"), "\"[2]\""));
}

TEST_F(JsonArray, PassesAnyDepth) {
  const std::string deep = std::string(5000, '[') + std::string(5000, ']');
  EXPECT_THAT(Rows("[" + deep + ", 1]"), ElementsAre("1:" + deep, "1:1"));
  const std::string objects = std::string(3000, '{') + std::string(3000, '}');
  EXPECT_THAT(Rows("[" + objects + ", 1]"), ElementsAre("1:" + objects, "1:1"));
}

TEST_F(JsonArray, ElementsMayBeLongerThanTheWindow) {
  std::string text = "[\n";
  std::vector<std::string> expected;
  for (const size_t size : {10u, 400000u, 600000u, 3u, 5000000u, 7u}) {
    std::string value = "\"";
    for (size_t i = 0; i < size; ++i) value += i % 3 ? "x" : "\\\"";
    value += '"';
    text += (expected.empty() ? "" : ",\n") + value;
    expected.push_back(std::to_string(expected.size() + 2) + ":" + value);
  }
  EXPECT_EQ(Rows(text + "]"), expected);
}

TEST_F(JsonArray, ReportsAnElementThatIsTooLong) {
  std::string text = "[1,\n\"" + std::string(kMostRowBytes + 1000000, 'x') + "\",\n{\"a\": [\"";
  text += std::string(kMostRowBytes - 100, 'y') + "\"]}]";
  const std::vector<KeptRow> rows = files_.Read("a.json", text);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_THAT(rows[1].problem, HasSubstr("64 MB"));
  EXPECT_EQ(rows[1].line, 2u);
  EXPECT_EQ(rows[2].line, 3u);
  EXPECT_EQ(rows[2].json.size(), kMostRowBytes - 100 + 11);
  EXPECT_THAT(Failure("[1,\n\"" + std::string(kMostRowBytes + 1000000, 'x')), Names(Where("2"), "the end of the file"));
}

}  // namespace
}  // namespace stablelm
