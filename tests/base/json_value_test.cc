#include "base/json_value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace stablelm {
namespace {

// What nlohmann's type writes for the same initializer.
#define EXPECT_SAME(...) \
  EXPECT_EQ(JsonValue(__VA_ARGS__).Dump(), nlohmann::ordered_json(__VA_ARGS__).dump()) << #__VA_ARGS__

TEST(JsonValue, WritesNumbersAndTextsAsNlohmann) {
  EXPECT_SAME(nullptr);
  EXPECT_SAME(true);
  EXPECT_SAME(-3);
  EXPECT_SAME(std::numeric_limits<int64_t>::min());
  EXPECT_SAME(std::numeric_limits<uint64_t>::max());
  for (const double value : {0.0, -0.0, 1.0, 0.1, 1e-300, 12345678.9, 1e22, 5e-324}) EXPECT_SAME(value);
  EXPECT_SAME(0.1f);
  EXPECT_SAME("a \"quote\", a \\ and \n\x01");
  EXPECT_SAME(std::string("\0\xc3\xa9", 3));
  EXPECT_SAME(std::vector<std::vector<int>>{{1, 2}, {}, {3}});
}

TEST(JsonValue, KnowsObjectsFromArraysAsNlohmann) {
  EXPECT_SAME({{"one", 1}});
  EXPECT_SAME({{"one", 1}, {"two", {{"three", {1, 2.5, "x"}}}}, {"empty", std::vector<int>()}});
  EXPECT_SAME({"a", "b"});
  EXPECT_SAME({{"a", "b"}, {"c"}});
  EXPECT_SAME({1, 2, 3});
  EXPECT_EQ(JsonValue::Object().Dump(), "{}");
  EXPECT_EQ(JsonValue::Array().Dump(), "[]");
}

TEST(JsonValue, AppendsMembersWithNewNames) {
  JsonValue value;
  for (int i = 0; i < 3; ++i) value.Append(std::to_string(9 - i), i);
  EXPECT_EQ(value.Dump(), R"({"9":0,"8":1,"7":2})");
  value["8"] = "new";
  EXPECT_EQ(value.Dump(), R"({"9":0,"8":"new","7":2})");
}

TEST(JsonValue, KeepsTheOrderOfMembers) {
  JsonValue value = {{"z", 1}, {"a", 2}};
  value["m"] = "new";
  value["z"] = nullptr;
  EXPECT_EQ(value.Dump(), R"({"z":null,"a":2,"m":"new"})");
  value.Update({{"a", false}, {"b", true}});
  EXPECT_EQ(value.Dump(), R"({"z":null,"a":false,"m":"new","b":true})");
  EXPECT_TRUE(value.Contains("b"));
  EXPECT_FALSE(value.Contains("c"));
  EXPECT_EQ(value.At("m").Text(), "new");
  EXPECT_EQ(JsonValue(7).Whole(), 7u);
}

TEST(JsonValue, GrowsFromNull) {
  JsonValue list, object;
  list.push_back(1);
  list.push_back({{"x", 2}});
  list.back()["y"] = 3;
  object["a"]["b"] = list;
  EXPECT_EQ(object.Dump(2),
            "{\n  \"a\": {\n    \"b\": [\n      1,\n      {\n        \"x\": 2,\n        \"y\": 3\n      }\n"
            "    ]\n  }\n}");
}

TEST(JsonValue, WritesOnlyJson) {
  EXPECT_EQ(JsonValue(std::nan("")).Dump(), "null");
  EXPECT_EQ(JsonValue(std::numeric_limits<double>::infinity()).Dump(), "null");
  EXPECT_EQ(JsonValue("\xff").Dump(), "\"\xef\xbf\xbd\"");
}

}  // namespace
}  // namespace stablelm
