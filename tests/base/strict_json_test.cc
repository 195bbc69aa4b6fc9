#include "base/strict_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "error_info.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

std::string Problem(std::string_view text) {
  return InfoOf([&] { ParseStrictJson(text, "file"); }).what;
}

// As Python's json module writes them.
TEST(StrictJson, NumbersThatAreNotFinite) {
  const nlohmann::json value =
      ParseStrictJson(R"({"a": NaN, "b": [Infinity, -Infinity, "NaN, \"Infinity"], "NaN": 1})", "f");
  EXPECT_TRUE(std::isnan(value["a"].get<double>()));
  EXPECT_EQ(value["b"][0].get<double>(), HUGE_VAL);
  EXPECT_EQ(value["b"][1].get<double>(), -HUGE_VAL);
  EXPECT_EQ(value["b"][2], "NaN, \"Infinity");
  EXPECT_EQ(value["NaN"], 1);
  EXPECT_THAT(Problem("nan"), HasSubstr("not valid JSON"));
}

// Python reads a number that no double holds as infinity.
TEST(StrictJson, HugeNumbers) {
  const std::string digits(400, '1');
  const std::string text = "{\"1e999\": [1e999, -2.5E+400, 1e-999, 1e308, 0.1e5, \"1e999\", " + digits + "]}";
  EXPECT_THAT(InfoOf([&] { ParseStrictJson(text, "f"); }).found, "\"1e999\"");
  const nlohmann::json list = ParseStrictJson(text, "f", 4, HugeNumbers::kInfinite)["1e999"];
  EXPECT_EQ(list[0].get<double>(), HUGE_VAL);
  EXPECT_EQ(list[1].get<double>(), -HUGE_VAL);
  EXPECT_EQ(list[2].get<double>(), 0);
  EXPECT_EQ(list[3].get<double>(), 1e308);
  EXPECT_EQ(list[4].get<double>(), 10000);
  EXPECT_EQ(list[5], "1e999");
  EXPECT_EQ(list[6].get<double>(), HUGE_VAL);
  for (const char* bad : {"[01e999]", "[1.e999]", "[1e]", "[-]", "[1e+-999]"}) {
    EXPECT_THAT(InfoOf([&] { ParseStrictJson(bad, "f", 4, HugeNumbers::kInfinite); }).what,
                HasSubstr("not valid JSON at line 1"))
        << bad;
  }
}

// As Notepad writes it.
TEST(StrictJson, ByteOrderMarkIsSkipped) {
  EXPECT_EQ(ParseStrictJson("\xEF\xBB\xBF{\"a\": 1}", "f")["a"], 1);
  EXPECT_THAT(Problem("\xEF\xBB\xBF"), HasSubstr("empty"));
  EXPECT_THAT(Problem("{}\xEF\xBB\xBF"), HasSubstr("not valid JSON"));
}

TEST(StrictJson, PlacesAreThoseOfTheText) {
  EXPECT_EQ(Problem("{\"a\": [NaN, Infinity, 1,\n 2 3]}"), "not valid JSON at line 2, column 4");
  EXPECT_EQ(Problem("{\"a\": [NaN, Infinity, x]}"), "not valid JSON at line 1, column 23");
  EXPECT_EQ(InfoOf([&] { ParseStrictJson("[1e999, NaN, x]", "file", 4, HugeNumbers::kInfinite); }).what,
            "not valid JSON at line 1, column 14");
  EXPECT_EQ(Problem("{\"a\" 1}"), "not valid JSON at line 1, column 6");
  const ErrorInfo comma = InfoOf([&] { ParseStrictJson("{\"a\": 1,}\n", "file"); });
  EXPECT_EQ(comma.found, "\"}\"");
  EXPECT_THAT(comma.hint, HasSubstr("none behind the last"));
  EXPECT_EQ(InfoOf([&] { ParseStrictJson("{'a': 1}", "file"); }).found, "\"'a': 1}\"");
  EXPECT_EQ(InfoOf([&] { ParseStrictJson("[\"a\n\"]", "file"); }).found, "the end of the line");
  // Cut off.
  for (const char* text : {"{", "{\"a\": [1,", "{\"a\": \"tex", "[1, 2\n", "[tru"}) {
    EXPECT_THAT(Problem(text), HasSubstr("before it is complete")) << text;
  }
}

TEST(StrictJson, Refusals) {
  EXPECT_THAT(Problem(R"({"a": 1, "a": 1})"), HasSubstr("\"a\" appears twice"));
  EXPECT_THAT(Problem(std::string_view("{}\0", 3)), HasSubstr("not valid JSON"));
  EXPECT_THAT(Problem("\"\xFF\""), HasSubstr("not valid UTF-8 at line 1, column 2"));
  EXPECT_THAT(Problem(std::string(100, '[') + std::string(100, ']')), HasSubstr("nested too deeply"));
}

TEST(StrictJson, WritesWhatItReads) {
  const char* const text =
      R"({"array":[null,true,-9223372036854775808,18446744073709551615,0.1,"\u0001",[],{}],"z":{"a":1}})";
  const nlohmann::json value = ParseStrictJson(text, "f");
  EXPECT_EQ(JsonText(value), text);
  EXPECT_EQ(JsonValueOf(value).Dump(), text);
  EXPECT_EQ(JsonText(ParseStrictJson(R"({"b": 1, "a": 2})", "f")), R"({"a":2,"b":1})");
}

}  // namespace
}  // namespace stablelm
