// Lines of a prompt file: accepted keys, and errors that name the key.
#include "prompt/prompt_line.h"

#include <gmock/gmock.h>

#include <cmath>

#include "base/error.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string RefusalOfLine(std::string_view json) {
  try {
    ParsePromptLine(json);
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

TEST(PromptLine, ThreeKindsOfPrompts) {
  EXPECT_EQ(ParsePromptLine(R"({"prompt": "a\nb"})").prompt, "a\nb");
  EXPECT_THAT(*ParsePromptLine(R"({"ids": [1, 2, 50687], "prompt": null})").ids, ElementsAre(1, 2, 50687));
  const PromptLine line = ParsePromptLine(R"({"messages": [{"role": "user", "content": "Hi"}]})");
  ASSERT_EQ(line.messages->size(), 1u);
  EXPECT_EQ(line.messages->front().text, "Hi");
}

TEST(PromptLine, ParametersByName) {
  const PromptLine line = ParsePromptLine(
      R"({"prompt": "x", "temperature": 0.5, "top_k": 7, "do_sample": true, "max_new_tokens": 3,
          "seed": 18446744073709551615, "stop": ["a", "b"], "stop_id": [4], "ignore_eos": true, "max_time": 1.5,
          "logit_bias": {"12": -5, "13": "-inf"}, "sampler_order": "llama",
          "bad_words_ids": [[5, 6], [7]], "suppress_tokens": [8], "begin_suppress_tokens": []})");
  EXPECT_EQ(line.values, (SettingValues{{"temperature", 0.5}, {"top_k", 7}, {"do_sample", 1}, {"max_new_tokens", 3}}));
  EXPECT_EQ(line.seed, ~uint64_t{0});
  EXPECT_THAT(line.stop_strings, ElementsAre("a", "b"));
  EXPECT_THAT(ParsePromptLine(R"({"prompt": "x", "stop": "c"})").stop_strings, ElementsAre("c"));
  EXPECT_THAT(line.stop_ids, ElementsAre(4));
  EXPECT_EQ(line.ignore_eos, true);
  EXPECT_EQ(line.max_time_s, 1.5);
  ASSERT_EQ(line.logit_bias.size(), 2u);
  EXPECT_EQ(line.logit_bias[0].id, 12);
  EXPECT_EQ(line.logit_bias[0].bias, -5);
  EXPECT_TRUE(std::isinf(line.logit_bias[1].bias));
  EXPECT_EQ(line.sampler_order, "llama");
  EXPECT_EQ(line.token_lists.bad_words, (std::vector<std::vector<int32_t>>{{5, 6}, {7}}));
  EXPECT_EQ(line.token_lists.suppress, std::vector<int32_t>{8});
  EXPECT_EQ(line.token_lists.begin_suppress, std::vector<int32_t>());
}

TEST(PromptLine, RefusesByName) {
  const struct {
    const char* json;
    const char* says;
  } kCases[] = {
      {"", "empty"},
      {"{", "not valid JSON"},
      {R"({"prompt": "a"} {"prompt": "b"})", "not valid JSON"},
      {"[]", "not an object"},
      {"{}", "there is no prompt"},
      {R"({"prompt": null})", "there is no prompt"},
      {R"({"prompt": "a", "ids": [1]})", "the prompt is given twice"},
      {R"({"prompt": 1})", "prompt: not a string"},
      {R"({"ids": "1 2"})", "ids: not a list of token ids"},
      {R"({"ids": [1, 2.5]})", "ids: index 1"},
      {R"({"ids": [1, 4294967296]})", "ids: index 1"},
      {R"({"ids": [1, -2147483649]})", "ids: index 1"},
      {R"({"messages": [{"role": "usr", "content": "x"}]})", "messages[0].role"},
      {R"({"messages": []})", "an empty conversation"},
      {R"({"prompt": "a", "temprature": 1})", "unknown key \"temprature\""},
      {R"({"prompt": "a", "temprature": 1})", "did you mean \"temperature\"?"},
      {R"({"prompt": "a", "max-new-tokens": 1})", "did you mean \"max_new_tokens\"?"},
      {R"({"promt": "a"})", "did you mean \"prompt\"?"},
      {R"({"prompt": "a", "prompt": "b"})", "appears twice"},
      {R"({"prompt": "a", "temperature": -1})", "temperature: number out of range"},
      {R"({"prompt": "a", "top_p": 2})", "top_p: number out of range"},
      {R"({"prompt": "a", "temperature": 1e999})", "1e999"},
      {R"({"prompt": "a", "top_k": "many"})", "top_k: not a number"},
      {R"({"prompt": "a", "seed": -1})", "seed: not a seed"},
      {R"({"prompt": "a", "seed": "x"})", "seed: not a seed"},
      {R"({"prompt": "a", "seed": 1.5})", "seed: not a seed"},
      {R"({"prompt": "a", "stop": [1]})", "stop[0]: not a string"},
      {R"({"prompt": "a", "stop_id": 5})", "stop_id: not a list of token ids"},
      {R"({"prompt": "a", "max_time": 0})", "max_time: not a time"},
      {R"({"prompt": "a", "logit_bias": [1]})", "logit_bias"},
      {R"({"prompt": "a", "logit_bias": {"x": 1}})", "logit_bias: not a token id"},
      {R"({"prompt": "a", "logit_bias": {"-1": 1}})", "logit_bias: not a token id: found \"-1\""},
      {R"({"prompt": "a", "logit_bias": {"12x": 1}})", "logit_bias: not a token id: found \"12x\""},
      {R"({"prompt": "a", "logit_bias": {"1": "high"}})", "logit_bias[\"1\"]: not a bias"},
      {R"({"prompt": "a", "bad_words_ids": [[]]})", "bad_words_ids: an entry is empty"},
      {R"({"prompt": "a", "suppress_tokens": [2147483648]})", "suppress_tokens: not a token"},
      {"{\"prompt\": \"\xff\"}", "not valid UTF-8"},
  };
  for (const auto& c : kCases) EXPECT_THAT(RefusalOfLine(c.json), HasSubstr(c.says)) << c.json;
  // Nesting depth is limited, whatever the length.
  EXPECT_THAT(RefusalOfLine(std::string(100000, '[')), HasSubstr("nested"));
  // What is a number of 32 bits is left to those who know the vocabulary.
  EXPECT_EQ(ParsePromptLine(R"({"ids": [-2147483648, 2147483647]})").ids, (std::vector<int32_t>{INT32_MIN, INT32_MAX}));
}

TEST(PromptLine, ListsAreBounded) {
  const auto line = [](const std::string& key, size_t n, const std::string& one, const std::string& more = "") {
    std::string list = one;
    for (size_t i = 1; i < n; ++i) list += "," + one;
    return R"({"prompt": "a", ")" + key + R"(": [)" + list + more + "]}";
  };
  const size_t most = kMostListedTokens;
  EXPECT_EQ(ParsePromptLine(line("stop", most, "\"x\"")).stop_strings.size(), most);
  EXPECT_EQ(ParsePromptLine(line("stop_id", most, "5")).stop_ids.size(), most);
  EXPECT_EQ(ParsePromptLine(line("bad_words_ids", most, "[5]")).token_lists.bad_words->size(), most);
  const std::string found = std::to_string(most + 1);
  EXPECT_THAT(RefusalOfLine(line("stop", most + 1, "\"x\"")), HasSubstr("stop: too many entries: found " + found));
  EXPECT_THAT(RefusalOfLine(line("stop_id", most + 1, "5")), HasSubstr("stop_id: too many entries: found " + found));
  // Of all words together.
  EXPECT_THAT(RefusalOfLine(line("bad_words_ids", most, "[5]", ",[5]")), HasSubstr("bad_words_ids: too many ids"));
}

}  // namespace
}  // namespace stablelm
