// Which reader a file gets, by its name and its content, and the files that get none.
#include "dataset/read/row_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <cstdlib>

#include "base/system.h"
#include "dataset/read/collect_rows.h"
#include "error_info.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

RowFormat FormatOf(const std::string& name, std::string_view bytes) {
  RowFiles files;
  return OpenRows(files.Write(name, bytes))->format();
}

TEST(OpenRows, TellsJsonByItsContent) {
  EXPECT_EQ(FormatOf("a.json", " \n[{}]"), RowFormat::kJsonArray);
  EXPECT_EQ(FormatOf("a.json", "{\"a\": 1}\n{\"a\": 2}\n"), RowFormat::kJsonLines);
  EXPECT_EQ(FormatOf("a.JSON", "{\"a\": 1}"), RowFormat::kJsonLines);
  EXPECT_EQ(FormatOf("a.jsonl", "[{\"a\": 1}]\n[{\"a\": 2}]\n"), RowFormat::kJsonLines);
  EXPECT_EQ(FormatOf("a.jsonl", "[\n  {\"a\": 1}\n]"), RowFormat::kJsonArray);
  EXPECT_EQ(FormatOf("a.jsonl", "[{\"a\": 1},\n{\"a\": 1}]"), RowFormat::kJsonArray);
  EXPECT_EQ(FormatOf("a.ndjson", "broken"), RowFormat::kJsonLines);
  EXPECT_EQ(FormatOf("a", "[]"), RowFormat::kJsonArray);
  EXPECT_EQ(FormatOf("train-00000", "{}\n"), RowFormat::kJsonLines);
  EXPECT_EQ(FormatOf("a.json", "{\"a\": \"" + std::string(100000, 'x') + "\"}\n{}\n"), RowFormat::kJsonLines);
}

TEST(OpenRows, TellsOthersByTheirName) {
  EXPECT_EQ(FormatOf("a.csv", "[a,b\n"), RowFormat::kCsv);
  EXPECT_EQ(FormatOf("a.tsv", "a\tb\n"), RowFormat::kTsv);
  EXPECT_EQ(FormatOf("a.txt", "{}"), RowFormat::kText);
  EXPECT_EQ(FormatOf("a.md", "# Title"), RowFormat::kText);
  EXPECT_EQ(FormatOf("a.txt", ""), RowFormat::kText);
}

TEST(OpenRows, TheCallerMayKnowBetter) {
  RowFiles files;
  const std::vector<KeptRow> rows = files.Read("a.json", "a\n\"b\"", {.format = RowFormat::kText});
  EXPECT_THAT(Summary(rows), ElementsAre("1:{\"text\": \"a\\n\\\"b\\\"\"}"));
  EXPECT_THAT(Summary(files.Read("a.data", "a,b\n1,2\n", {.format = RowFormat::kCsv})),
              ElementsAre("2:{\"a\": \"1\", \"b\": \"2\"}"));
  EXPECT_THAT(InfoOf([&] { files.Read("b.jsonl", "{}\n", {.format = RowFormat::kJsonArray}); }),
              Names(files.Path("b.jsonl").string() + ": line 1", "\"{}\\x0A\""));
}

TEST(OpenRows, RefusesWhatItCannotRead) {
  RowFiles files;
  const auto failure = [&](const std::string& name, std::string_view bytes) {
    ErrorInfo info = InfoOf([&] { files.Read(name, bytes); });
    EXPECT_EQ(info.where, files.Path(name).string());
    return info;
  };
  EXPECT_THAT(failure("a.json", "").what, HasSubstr("empty"));
  EXPECT_THAT(failure("a", " \n").what, HasSubstr("empty"));
  EXPECT_THAT(failure("a.json", "{\n  \"data\": [\n  ]\n}\n").hint, HasSubstr("jq"));
  EXPECT_THAT(failure("a.json", "hello").found, HasSubstr("hello"));
  EXPECT_THAT(failure("a.bin", "hello").expected, HasSubstr(".parquet"));
  EXPECT_THAT(failure("a.arrow", std::string_view("\xFF\xFF\xFF\xFF\x10\0", 6)).hint, HasSubstr("to_parquet"));
  EXPECT_THAT(failure("a", "ARROW1 ").hint, HasSubstr("to_parquet"));
  EXPECT_THAT(failure("a.jsonl", "PK\x03\x04").hint, HasSubstr("unzip"));
  EXPECT_THAT(failure("a.json.xz", std::string_view("\xFD"
                                                    "7zXZ\0",
                                                    6))
                  .hint,
              HasSubstr("xz -d"));
  EXPECT_THAT(failure("a.txt", std::string_view("\xFF\xFEh\0i\0", 6)).hint, HasSubstr("iconv"));
  EXPECT_THAT(failure("a.jsonl",
                      "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, 'a') + "\nsize 12\n")
                  .what,
              HasSubstr("LFS"));
}

TEST(OpenRows, ATextIsOneRow) {
  RowFiles files;
  EXPECT_THAT(Summary(files.Read("a.txt", "\xEF\xBB\xBFone\r\ntwo\t\x01\xFF\n")),
              ElementsAre("1:{\"text\": \"one\\r\\ntwo\\t\\u0001\xEF\xBF\xBD\\n\"}"));
  EXPECT_THAT(Summary(files.Read("a.txt", "")), ElementsAre("1:{\"text\": \"\"}"));
  const std::vector<KeptRow> rows = files.Read("a.txt", std::string(kMostRowBytes + 1, 'x'));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_THAT(rows[0].problem, HasSubstr("split"));
}

TEST(OpenRows, CountsTheFilesBytes) {
  RowFiles files;
  const std::string text = "{\"a\": 1}\n{\"a\": 2}\n";
  const std::unique_ptr<RowReader> reader = OpenRows(files.Write("a.jsonl", text));
  while (reader->Next()) {
  }
  EXPECT_EQ(reader->consumed(), text.size());
}

TEST(OpenRows, HoldsNoMoreThanARow) {
  RowFiles files;
  std::string block;
  while (block.size() < (size_t{1} << 20)) block += "{\"a\": \"" + std::string(1000, 'x') + "\"},\n";
  const size_t rows_of_block = static_cast<size_t>(std::count(block.begin(), block.end(), '\n'));
  const std::filesystem::path path = files.Path("a.json");
  {
    std::ofstream out(path, std::ios::binary);
    out << "[\n";
    for (size_t i = 0; i < 100; ++i) out << block;
    out << "{}]";
  }
  const uint64_t before = ReadMemoryUse().anonymous;
  const std::unique_ptr<RowReader> reader = OpenRows(path);
  size_t rows = 0;
  uint64_t most = before;
  while (reader->Next()) {
    if (++rows % 10000 == 0) most = std::max(most, ReadMemoryUse().anonymous);
  }
  EXPECT_EQ(rows, 100 * rows_of_block + 1);
  EXPECT_LT(most - before, uint64_t{16} << 20);
}

struct Sample {
  const char* name;
  RowFormat format;
  size_t rows;
};
// The numbers are those of ../shared/data/README.md, or of Python's json.
constexpr Sample kSamples[] = {{"alpaca_seed_tasks.jsonl", RowFormat::kJsonLines, 175},
                               {"gpteacher_codegen.json", RowFormat::kJsonArray, 4535},
                               {"gpteacher_roleplay.json", RowFormat::kJsonArray, 1923},
                               {"gsm8k_alpaca_format.json", RowFormat::kJsonArray, 7473},
                               {"hh_harmless_test.jsonl.gz", RowFormat::kJsonLines, 2312},
                               {"lambada_test.jsonl", RowFormat::kJsonLines, 5153},
                               {"sharegpt_dummy.json", RowFormat::kJsonArray, 500}};

TEST(OpenRows, ReadsRealDataSets) {
  const char* shared = std::getenv("STABLELM_SHARED");
  if (!shared) GTEST_SKIP() << "STABLELM_SHARED is not set: real data sets are not in the project";
  for (const Sample& sample : kSamples) {
    SCOPED_TRACE(sample.name);
    const std::unique_ptr<RowReader> reader = OpenRows(std::filesystem::path(shared) / "data" / sample.name);
    EXPECT_EQ(reader->format(), sample.format);
    simdjson::dom::parser parser;
    size_t rows = 0, bad = 0;
    uint64_t line = 0;
    while (const std::optional<DataRow> row = reader->Next()) {
      ++rows;
      EXPECT_GT(row->line, line);
      line = row->line;
      EXPECT_EQ(row->repairs, 0u);
      EXPECT_EQ(row->problem, "");
      simdjson::dom::object object;
      bad += parser.parse(row->json.data(), row->json.size(), false).get(object) != simdjson::SUCCESS;
    }
    EXPECT_EQ(rows, sample.rows);
    EXPECT_EQ(bad, 0u);
  }
}

}  // namespace
}  // namespace stablelm
