// The repair of JSON text before it is parsed.
#include <gtest/gtest.h>
#include <simdjson.h>

#include <string>

#include "dataset/read/json_text.h"

namespace stablelm {
namespace {

struct Repaired {
  std::string text;
  uint64_t repairs;
  bool operator==(const Repaired&) const = default;
  friend void PrintTo(const Repaired& r, std::ostream* out) { *out << r.repairs << " " << r.text; }
};

Repaired Repair(std::string_view text) {
  std::string out = "untouched";
  const uint64_t repairs = RepairJson(text, out);
  if (repairs == 0) {
    EXPECT_EQ(out, "untouched");
  }
  return {repairs == 0 ? std::string(text) : out, repairs};
}
Repaired Unchanged(std::string_view text) { return {std::string(text), 0}; }

TEST(RepairJson, LoneSurrogatesBecomeReplacements) {
  EXPECT_EQ(Repair(R"("\ud83d")"), (Repaired{R"("\ufffd")", 1}));              // high alone, at the end
  EXPECT_EQ(Repair(R"("\uDE00x")"), (Repaired{R"("\ufffdx")", 1}));            // low alone
  EXPECT_EQ(Repair(R"("\ude00\ud83d")"), (Repaired{R"("\ufffd\ufffd")", 2}));  // reversed pair
  EXPECT_EQ(Repair(R"("\ud83d\ud83d")"), (Repaired{R"("\ufffd\ufffd")", 2}));  // two highs
  EXPECT_EQ(Repair(R"("\ud83d\uD83D\uDE00")"), (Repaired{R"("\ufffd\uD83D\uDE00")", 1}));
  EXPECT_EQ(Repair(R"({"\ud83d": 1})"), (Repaired{R"({"\ufffd": 1})", 1}));  // in a key
  EXPECT_EQ(Repair(R"("\ud83d\u0041")"), (Repaired{R"("\ufffd\u0041")", 1}));
  EXPECT_EQ(Repair(R"("\ud83d x")"), (Repaired{R"("\ufffd x")", 1}));
  EXPECT_EQ(Repair(R"("\\\ud83d")"), (Repaired{R"("\\\ufffd")", 1}));            // after an escaped backslash
  EXPECT_EQ(Repair(R"("\u1\ud83d")"), (Repaired{R"("\u1\ufffd")", 1}));          // after an escape that is none
  EXPECT_EQ(Repair(R"("\ud83d\\ude00")"), (Repaired{R"("\ufffd\\ude00")", 1}));  // half of it is text
}

TEST(RepairJson, LeavesTheRestAlone) {
  for (const std::string_view text :
       {R"("\ud83d\ude00")", R"("\uD83D\uDE00\uD83D\uDE00")", R"("\\ud83d")", R"("\\\\ud83d")", R"("ud83d")",
        R"("\u00e9\n\"\u4e2d\u6587\ufffd")", R"("\uD7FF\uE000")", "\"\xF0\x9F\x98\x80\"", "", "\\", "\\u", "\\ud83",
        "\\ud8zz", "\\\\"}) {
    EXPECT_EQ(Repair(text), Unchanged(text));
  }
}

TEST(RepairJson, IllFormedBytesBecomeReplacements) {
  EXPECT_EQ(Repair("\"a\xFFz\""), (Repaired{"\"a\xEF\xBF\xBDz\"", 1}));
  EXPECT_EQ(Repair("\"\xE2\x82\""), (Repaired{"\"\xEF\xBF\xBD\"", 1}));
  EXPECT_EQ(Repair("\"\xC0\x80\""), (Repaired{"\"\xEF\xBF\xBD\xEF\xBF\xBD\"", 2}));
  EXPECT_EQ(Repair("\xED\xA0\xBD\\ud83d\\ude00"),  // a surrogate as bytes
            (Repaired{"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\\ud83d\\ude00", 3}));
  EXPECT_EQ(Repair("\"\xFF\\ud83d\xFF\\ude00\""), (Repaired{"\"\xEF\xBF\xBD\\ufffd\xEF\xBF\xBD\\ufffd\"", 4}));
}

TEST(RepairJson, MakesTextThatTheParserTakes) {
  simdjson::dom::parser parser;
  const Repaired repaired = Repair("{\"k\\udc00\": \"\xF0\x9F\\ud83d\\n\"}");
  simdjson::dom::element document;
  ASSERT_EQ(parser.parse(repaired.text).get(document), simdjson::SUCCESS);
  EXPECT_EQ(std::string_view(document["k\xEF\xBF\xBD"]), "\xEF\xBF\xBD\xEF\xBF\xBD\n");
}

TEST(AppendJsonString, SurvivesTheParser) {
  std::string text;
  for (int c = 0; c < 0x80; ++c) text += static_cast<char>(c);
  text += "\xC3\xA9\\ud83d";
  std::string json;
  AppendJsonString(text, json);
  simdjson::dom::parser parser;
  std::string_view back;
  ASSERT_EQ(parser.parse(json).get(back), simdjson::SUCCESS);
  EXPECT_EQ(back, text);
}

}  // namespace
}  // namespace stablelm
