// Rows of CSV and TSV become objects of strings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataset/read/collect_rows.h"
#include "error_info.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Rows(std::string_view text, const std::string& name = "a.csv") {
  return Summary(RowFiles().Read(name, text));
}

TEST(Csv, FollowsTheRfc) {
  EXPECT_THAT(Rows("a,b\r\n1,2\r\n\"x, y\",\"say \"\"hi\"\"\"\r\n\"two\r\nlines\",\r\n"),
              ElementsAre("2:{\"a\": \"1\", \"b\": \"2\"}", "3:{\"a\": \"x, y\", \"b\": \"say \\\"hi\\\"\"}",
                          "4:{\"a\": \"two\\r\\nlines\", \"b\": \"\"}"));
}

TEST(Csv, TakesWhatIsMetBeside) {
  EXPECT_THAT(Rows("\xEF\xBB\xBF\"a\",b\n\n1,say \"x\"\n\r\n2,3"),  // BOM, blank lines, quotes inside, no last line end
              ElementsAre("3:{\"a\": \"1\", \"b\": \"say \\\"x\\\"\"}", "5:{\"a\": \"2\", \"b\": \"3\"}"));
  EXPECT_THAT(Rows("a\n\"\"\n\n\"x\r\"\n\"y\r\"", "a.csv"),
              ElementsAre("2:{\"a\": \"\"}", "4:{\"a\": \"x\\r\"}", "5:{\"a\": \"y\\r\"}"));
  EXPECT_THAT(Rows("\n\r\na,b\n1,2\n"), ElementsAre("4:{\"a\": \"1\", \"b\": \"2\"}"));
  EXPECT_THAT(Rows("a\tb\n1,2\t\"x\ty\"\n", "a.tsv"), ElementsAre("2:{\"a\": \"1,2\", \"b\": \"x\\ty\"}"));
  EXPECT_THAT(Rows(",a\n0,x\n"), ElementsAre("2:{\"\": \"0\", \"a\": \"x\"}"));
  EXPECT_THAT(Rows("a,\"b\"\"\n\"\n0,x\r"), ElementsAre("3:{\"a\": \"0\", \"b\\\"\\n\": \"x\"}"));
}

TEST(Csv, NamesItsColumns) {
  RowFiles files;
  const std::unique_ptr<RowReader> reader = OpenRows(files.Write("a.csv", "instruction,\"out\xFFput\"\n"));
  EXPECT_THAT(reader->columns(), ElementsAre("instruction", "out\xEF\xBF\xBDput"));
  EXPECT_EQ(reader->format(), RowFormat::kCsv);
  EXPECT_FALSE(reader->Next());
}

TEST(Csv, RepairsFields) {
  const std::vector<KeptRow> rows = RowFiles().Read("a.csv", "a\n\xFF\\ud83d\n");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].json, "{\"a\": \"\xEF\xBF\xBD\\\\ud83d\"}");  // text that looks like an escape is text
  EXPECT_EQ(rows[0].repairs, 1u);
}

TEST(Csv, ReportsBrokenRows) {
  const std::vector<KeptRow> rows = RowFiles().Read("a.csv", "a,b\n1\n1,2,3\n\"x\"y,1\n\"x\ny\",2,3\n4,5\n");
  ASSERT_THAT(Summary(rows), ElementsAre("2!", "3!", "4!", "5!", "7:{\"a\": \"4\", \"b\": \"5\"}"));
  EXPECT_THAT(rows[0].problem, testing::AllOf(HasSubstr("found 1"), HasSubstr("expected 2")));
  EXPECT_THAT(rows[2].problem, HasSubstr("quote"));
  EXPECT_EQ(rows[4].index, 4u);
}

TEST(Csv, AnOpenQuoteCostsItsLine) {
  EXPECT_THAT(Rows("a,b\n1,\"open\n2,x\n3,\"y\"\n4,z\n"),
              ElementsAre("2!", "3:{\"a\": \"2\", \"b\": \"x\"}", "4:{\"a\": \"3\", \"b\": \"y\"}",
                          "5:{\"a\": \"4\", \"b\": \"z\"}"));
  EXPECT_THAT(Rows("a,b\n1,x\n2,\"open\n3,y\n"),
              ElementsAre("2:{\"a\": \"1\", \"b\": \"x\"}", "3!", "4:{\"a\": \"3\", \"b\": \"y\"}"));
}

TEST(Csv, FieldsMayBeLongerThanTheWindow) {
  std::string text = "a,b\n";
  std::vector<std::string> expected;
  for (const size_t size : {3u, 500000u, 700000u, 5u, 3000000u}) {
    std::string field, json;
    for (size_t i = 0; i < size; ++i) {
      field += i % 5 == 0 ? "\"\"" : i % 5 == 1 ? "\n" : "x";
      json += i % 5 == 0 ? "\\\"" : i % 5 == 1 ? "\\n" : "x";
    }
    const size_t line = 1 + static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
    text += "\"" + field + "\",1\n";
    expected.push_back(std::to_string(line) + ":{\"a\": \"" + json + "\", \"b\": \"1\"}");
  }
  EXPECT_EQ(Rows(text), expected);
}

TEST(Csv, ReportsARowThatIsTooLong) {
  EXPECT_THAT(
      Rows("a\n1\n" + std::string(kMostRowBytes + 10, 'x') + "\n2\n\"" + std::string(kMostRowBytes, 'y') + "\"\n3\n"),
      ElementsAre("2:{\"a\": \"1\"}", "3!", "4:{\"a\": \"2\"}", "5!", "6:{\"a\": \"3\"}"));
}

TEST(Csv, BoundsTheNumberOfFields) {
  EXPECT_THAT(Rows("a\n" + std::string(20000, ',') + "\n1\n"), ElementsAre("2!", "3:{\"a\": \"1\"}"));
  RowFiles files;
  const std::string where = files.Path("a.csv").string() + ": line 1";
  EXPECT_THAT(InfoOf([&] { files.Read("a.csv", std::string(20000, ',') + "\n"); }), Names(where));
  EXPECT_THAT(InfoOf([&] { files.Read("a.csv", std::string(1100000, 'x') + "\n"); }), Names(where, "1.10 MB"));
}

TEST(Csv, RefusesBadHeaders) {
  RowFiles files;
  const std::string where = files.Path("a.csv").string() + ": line 1";
  EXPECT_THAT(InfoOf([&] { files.Read("a.csv", ""); }), Names(where));
  EXPECT_THAT(InfoOf([&] { files.Read("a.csv", "\n\n"); }), Names(files.Path("a.csv").string() + ": line 3"));
  EXPECT_THAT(InfoOf([&] { files.Read("a.csv", "a,b,a\n"); }), Names(where, "\"a\""));
  EXPECT_THAT(InfoOf([&] { files.Read("a.csv", "a;b\n1;2\n"); }), Names(where, "\"a;b\""));
  EXPECT_THAT(InfoOf([&] { files.Read("a.csv", "a\tb\n1\t2\n"); }), Names(where, "\"a\\x09b\""));
  EXPECT_THAT(InfoOf([&] { files.Read("a.csv", "a,b\r1,2\r"); }), Names(where, HasSubstr("\\x0D")));
  EXPECT_THAT(InfoOf([&] { files.Read("a.csv", "\"a"); }), Names(where));
}

}  // namespace
}  // namespace stablelm
