// The YAML of recipes: places, what is refused, the limits, and texts that survive writing and reading.
#include "dataset/recipe_yaml.h"

#include <gtest/gtest.h>

#include "error_info.h"

namespace stablelm {
namespace {

using Kind = RecipeNode::Kind;

RecipeNode Parse(std::string_view text) { return ParseRecipeYaml(text, "r.yaml"); }
ErrorInfo Refused(std::string_view text) {
  return InfoOf([&] { Parse(text); });
}

TEST(RecipeYaml, KeepsSpellingsAndPlaces) {
  const RecipeNode top = Parse("a: no\nb:\n  - 1.10\n  - \"5\"\nc: ~\nä: {d: é, e: [x, y]}\n");
  ASSERT_EQ(top.keys.size(), 4U);
  EXPECT_EQ(top.Find("a")->text, "no");
  EXPECT_EQ(top.Find("b")->items[0].text, "1.10");
  EXPECT_FALSE(top.Find("b")->items[0].quoted);
  EXPECT_TRUE(top.Find("b")->items[1].quoted);
  EXPECT_EQ(top.Find("b")->items[1].line, 4);
  EXPECT_EQ(top.Find("b")->items[1].column, 5);
  EXPECT_EQ(top.Find("c")->kind, Kind::kNull);
  const RecipeNode& e = *top.Find("ä")->Find("e");
  EXPECT_EQ(e.kind, Kind::kList);
  EXPECT_EQ(PlaceOf(e, "r.yaml"), "r.yaml: line 6, column 14");  // code points, not bytes
}

TEST(RecipeYaml, ReadsEmptyAndWindowsFiles) {
  EXPECT_EQ(Parse("").kind, Kind::kMap);
  EXPECT_EQ(Parse("# nothing\n").kind, Kind::kMap);
  const RecipeNode top = Parse("\xEF\xBB\xBFname: a\r\nseed: 2\r\n");
  EXPECT_EQ(top.Find("name")->text, "a");
  EXPECT_EQ(top.Find("seed")->line, 2);
}

TEST(RecipeYaml, RefusesWhatIsNotOneDocumentOfTexts) {
  EXPECT_THAT(Refused("a: 1\nb: 2\na: 3\n"), Names("r.yaml: line 3, column 1"));
  EXPECT_EQ(Refused("a: 1\nb: 2\na: 3\n").hint, "the first is in line 1");
  EXPECT_THAT(Refused("a: 1\n---\nb: 2\n"), Names("r.yaml: line 2, column 1"));
  EXPECT_THAT(Refused("a: !!int 5\n"), Names("r.yaml: line 1, column 4", "\"tag:yaml.org,2002:int\""));
  EXPECT_THAT(Refused("a: !x {b: 1}\n"), Names("r.yaml: line 1, column 4", "\"!x\""));
  EXPECT_THAT(Refused("[a, b]: 1\n"), Names("r.yaml: line 1, column 1"));
  EXPECT_THAT(Refused("~: 1\n"), Names("r.yaml: line 1, column 1"));
  EXPECT_THAT(Refused("x: &x {a: 1}\ny:\n  <<: *x\n"), Names("r.yaml: line 3, column 3"));
  EXPECT_THAT(Refused("a: \xFF\n"), Names("r.yaml: line 1, column 4", "\"\\xFF\""));
  EXPECT_THAT(Refused(std::string_view("a: b\0c", 6)), Names("r.yaml: line 1, column 5", "\"\\x00\""));
  EXPECT_THAT(Refused("a: \"x\\N\""), Names("r.yaml: line 1, column 4", "\"x\\x85\""));  // yaml-cpp's is not UTF-8
  EXPECT_THAT(Refused("a: \"\\0\""), Names("r.yaml: line 1, column 4", "\"\\x00\""));
  EXPECT_EQ(Parse("a: \"\\x85\\u00A0\"").Find("a")->text, "\u0085\u00A0");
  // yaml-cpp would end the file here, and lose the rest.
  EXPECT_THAT(Refused("a: 1\n\x04\nb: 2\n"), Names("r.yaml: line 2, column 1", "\"\\x04\""));
}

TEST(RecipeYaml, SaysWhereTheSyntaxBreaks) {
  EXPECT_THAT(Refused("a: 1\nb: [1, 2\nc: 3\n"), Names(testing::StartsWith("r.yaml: line "), testing::Not("")));
  EXPECT_THAT(Refused("a: \"open\nb: 2\n").what, testing::HasSubstr("quote"));
  EXPECT_EQ(Refused("a: [\n\n").found, "the end of the file");
  EXPECT_THAT(Refused("a: b: c\n"), Names("r.yaml: line 1, column 5", "\"a: b: c\""));
  EXPECT_THAT(Refused("a:\n\tb: 1\n").hint, testing::HasSubstr("spaces"));
  EXPECT_THAT(Refused("a: *.json\n"), Names("r.yaml: line 1, column 4", "\"a: *.json\""));
  EXPECT_THAT(Refused("a: *.json\n").hint, testing::HasSubstr("needs quotes"));
}

TEST(RecipeYaml, CopiesAliasesWithinLimits) {
  const RecipeNode top = Parse("one: &x {a: [1, 2]}\ntwo: *x\n");
  EXPECT_EQ(RecipeValueText(*top.Find("two")), "{a: [1, 2]}");
  EXPECT_EQ(top.Find("two")->line, 2);
  EXPECT_THAT(Refused("a: &a [*a]\n"), Names("r.yaml: line 1, column 8"));

  std::string bomb = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 9; ++k) bomb += (k ? ", " : "") + before;
    bomb += "]\n";
  }
  EXPECT_THAT(Refused(bomb), Names("r.yaml: line 5, column 5"));

  std::string copies = "a: &a " + std::string(1 << 19, 'x') + "\nb: [";
  for (int i = 0; i < 10; ++i) copies += "*a, ";
  EXPECT_THAT(Refused(copies + "]\n"), Names("r.yaml: line 2, column 29"));
}

TEST(RecipeYaml, BoundsDepthAndSize) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  Parse("a: " + nested(kMostRecipeDepth - 1));
  EXPECT_THAT(Refused("a: " + nested(kMostRecipeDepth)), Names("r.yaml: line 1, column 19"));
  EXPECT_THAT(Refused(std::string(200'000, '[')), Names(testing::StartsWith("r.yaml: line 1, ")));
  EXPECT_THAT(Refused("a: &a [[[[[[[[1]]]]]]]]\nb: [[[[[[[*a]]]]]]]"), Names("r.yaml: line 2, column 11"));
  Parse(std::string(kMostRecipeKeyBytes, 'k') + ": 1");
  EXPECT_THAT(Refused(std::string(kMostRecipeKeyBytes + 1, 'k') + ": 1"),
              Names("r.yaml: line 1, column 1", "101 bytes"));
  Parse("#" + std::string(kMostRecipeBytes - 1, 'x'));
  EXPECT_THAT(Refused("#" + std::string(kMostRecipeBytes, 'x')), Names("r.yaml", "1048577 bytes"));
  EXPECT_THAT(Refused("[" + std::string(200'000, ',')), Names(testing::StartsWith("r.yaml: line 1"), testing::_));
}

TEST(RecipeYaml, TextsSurviveWriting) {
  for (const std::string text : {"",       " ",          "a",         "plain text",
                                 "no",     "true",       "5",         "1e5",
                                 "-",      "- a",        "a: b",      "#a",
                                 "a #b",   "~",          "null",      "a\nb",
                                 "a\n",    "\na",        "a\n\n",     "a\n\nb\n",
                                 " a\nb",  "a\n b",      "a\n  \nb",  "\ta\nb",
                                 "a\tb\n", "tab\t",      "quo\"te",   "back\\slash",
                                 "\r\n",   "a\rb",       "\x01",      "\x7F",
                                 "é 漢 😀", "\u2028x\nb", "\uFEFF",    "\u0085",
                                 "---",    "...",        "a\n---\nb", "%a",
                                 "[a]",    "{a}",        "*a",        "&a",
                                 "!a",     "|",          ">",         "'a'",
                                 "@a",     "`a`",        "a,b",       "# Title\n- item: one\n- item\n"}) {
    RecipeNode top{.kind = Kind::kMap};
    const RecipeNode leaf{.kind = Kind::kScalar, .text = text, .quoted = true};
    const RecipeNode list{.kind = Kind::kList, .items = {leaf, leaf}};
    const RecipeNode map{.kind = Kind::kMap, .items = {leaf, list}, .keys = {{.text = "k"}, {.text = text}}};
    const RecipeNode maps{.kind = Kind::kList, .items = {map, map}};
    top.keys = {{.text = "text"}, {.text = "list"}, {.text = "maps"}};
    top.items = {leaf, list, maps};
    const std::string written = WriteRecipeYaml(top, false);
    const RecipeNode again = Parse(written);
    EXPECT_EQ(again.Find("text")->text, text) << written;
    EXPECT_EQ(again.Find("text")->kind, Kind::kScalar) << written;
    EXPECT_EQ(again.Find("list")->items[1].text, text) << written;
    EXPECT_EQ(again.Find("maps")->items[1].keys[1].text, text) << written;
    EXPECT_EQ(WriteRecipeYaml(again, false), written);
    EXPECT_EQ(ParseRecipeYaml(RecipeValueText(list), "").items[0].text, text);
  }
}

TEST(RecipeYaml, WritesForPeople) {
  EXPECT_EQ(WriteRecipeYaml(Parse("a: 0x1F\nb: 0xp, [\n"), false), "a: 0x1F\nb: \"0xp, [\"\n");
  EXPECT_EQ(WriteRecipeYaml(Parse("b: {c: 1, d: [x y, 2]}\na:\n- e: 'no'\n  f: |\n    one\n\n    two\n- {}\n"), false),
            R"(b:
  c: 1
  d: [x y, 2]
a:
  - e: no
    f: |
      one

      two
  - {}
)");
}

}  // namespace
}  // namespace stablelm
