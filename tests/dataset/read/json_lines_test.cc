// Rows of JSON lines, and the repair of their text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataset/read/collect_rows.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(JsonLines, GivesLinesWithoutSpaceAround) {
  RowFiles files;
  EXPECT_THAT(Summary(files.Read("a.jsonl", "\xEF\xBB\xBF{\"a\": 1}\r\n\n \t\r\n  {\"b\": 2} \n[1]\nbroken\n\"end\"")),
              ElementsAre("1:{\"a\": 1}", "4:{\"b\": 2}", "5:[1]", "6:broken", "7:\"end\""));
  EXPECT_THAT(files.Read("a.jsonl", ""), ElementsAre());
  EXPECT_THAT(files.Read("a.jsonl", "\n\n"), ElementsAre());
}

TEST(JsonLines, NumbersRowsWithoutBlankLines) {
  RowFiles files;
  const std::vector<KeptRow> rows = files.Read("a.jsonl", "1\n\n2\n3");
  ASSERT_EQ(rows.size(), 3u);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].index, i);
}

TEST(JsonLines, RepairsAndCounts) {
  RowFiles files;
  const std::vector<KeptRow> rows = files.Read("a.jsonl", "{\"a\": \"\xFF\\uD83D\"}\n{\"a\": \"fine\"}\n");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].json, "{\"a\": \"\xEF\xBF\xBD\\ufffd\"}");
  EXPECT_EQ(rows[0].repairs, 2u);
  EXPECT_EQ(rows[1].json, "{\"a\": \"fine\"}");
  EXPECT_EQ(rows[1].repairs, 0u);
}

TEST(JsonLines, ReportsALineThatIsTooLong) {
  RowFiles files;
  const std::string fits = "\"" + std::string(kMostRowBytes - 2, 'y') + "\"";
  const std::string too_long = "\"" + std::string(kMostRowBytes - 1, 'x') + "\"";
  const std::vector<KeptRow> rows = files.Read("a.jsonl", "1\n" + too_long + "\n2\n" + fits + "\n" + too_long);
  ASSERT_EQ(rows.size(), 5u);
  EXPECT_THAT(rows[1].problem, HasSubstr("64 MB"));
  EXPECT_EQ(rows[1].line, 2u);
  EXPECT_EQ(rows[2].json, "2");
  EXPECT_EQ(rows[3].json.size(), kMostRowBytes);
  EXPECT_THAT(rows[4].problem, HasSubstr("64 MB"));
}

TEST(JsonLines, RowsArePadded) {
  RowFiles files;
  for (const std::string text : {"{\"a\": 1}", "{\"a\": \"\\ud83d\"}"}) {
    const std::unique_ptr<RowReader> reader = OpenRows(files.Write("a.jsonl", text));
    const DataRow row = reader->Next().value();
    std::string copy(row.json.data(), row.json.size() + kRowPadding);  // the address sanitizer looks
    EXPECT_EQ(copy.size(), row.json.size() + kRowPadding);
  }
}

}  // namespace
}  // namespace stablelm
