// stablelm generate --n, --beams, --logprobs and --echo through the real program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "golden_command.h"

namespace stablelm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Json = nlohmann::json;

ProgramResult Chosen(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "generate");
  return RunProgramBinary(arguments);
}
Json ChoicesJson(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  const ProgramResult result = Chosen(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return Json::parse(result.out);
}

TEST(GenerateBeams, TheReferencesBeamsComeOutOfTheProgram) {
  int checked = 0;
  for (const auto& folder : GoldenFolders()) {
    SCOPED_TRACE(folder.filename());
    const SafetensorsFile expected(folder / "expected.safetensors");
    if (!expected.Find("beam4")) continue;
    const std::string n = std::to_string(expected.Get("beam4").shape[1]);
    const Json got = ChoicesJson({"-m", folder.string(), "--ids", Joined(Ids(expected, "tokens")), "--beams", "4",
                                  "--num-return", "4", "--min-new-tokens", n, "--max-new-tokens", n});
    const std::vector<float> scores = Floats(expected, "beam4_scores");
    ASSERT_EQ(got.at("choices").size(), 4u);
    for (size_t i = 0; i < 4; ++i) {
      const Json& beam = got.at("choices").at(i);
      EXPECT_EQ(beam.at("index"), i);
      EXPECT_EQ(beam.at("ids"), Ids(expected, "beam4", static_cast<int64_t>(i)));
      EXPECT_TRUE(std::abs(beam.at("score").get<double>() - static_cast<double>(scores[i])) <= 1e-5);
      EXPECT_EQ(beam.at("logprobs").size(), beam.at("ids").size());
    }
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

TEST(GenerateBeams, OptionsReachTheSearch) {
  const std::vector<std::string> base = {"-m", kParallel, "--ids", "1 2 3", "--max-new-tokens", "12", "--beams", "3"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), base.begin(), base.end());
    return ChoicesJson(more).at("choices");
  };
  EXPECT_EQ(with({}).size(), 1u);
  const Json three = with({"--num-return", "3"});
  EXPECT_EQ(three.size(), 3u);
  EXPECT_EQ(three.at(0), with({}).at(0));
  double sum = 0;
  for (const double logprob : three.at(0).at("logprobs")) sum += logprob;
  EXPECT_NEAR(with({"--length-penalty", "0"}).at(0).at("score").get<double>(), sum, 1e-4);
  for (const char* early : {"true", "false", "never"}) EXPECT_EQ(with({"--early-stopping", early}).size(), 1u);
  const ProgramResult text =
      Chosen({"-m", kParallel, "--ids", "1 2 3", "--max-new-tokens", "3", "--beams", "2", "--num-return", "2"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("--- beam 1 of 2, score -"), HasSubstr("--- beam 2 of 2, score -")));
}

class GenerateChoices : public testing::Test {
 protected:
  Json Run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"-m", model_});
    return ChoicesJson(arguments);
  }
  const TempFolder temp_;
  const std::string model_ = ModelWithTokenizer(temp_);
};

TEST_F(GenerateChoices, SamplesAreReproducibleAndTheFirstIsTheOnlyOne) {
  const std::vector<std::string> base = {
      "Once upon a time", "--temperature", "1", "--max-new-tokens", "9", "--seed", "5"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), base.begin(), base.end());
    return Run(more);
  };
  const Json one = with({}), four = with({"--samples", "4"}),
             six = with({"--samples", "6", "--parallel", "2", "--threads", "1"});
  ASSERT_EQ(four.at("choices").size(), 4u);
  for (const char* key : {"ids", "text", "logprobs", "finish_reason"}) {
    EXPECT_EQ(four.at("choices").at(0).at(key), one.at(key)) << key;
  }
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(four.at("choices").at(i), six.at("choices").at(i));
    EXPECT_EQ(four.at("choices").at(i).at("index"), i);
    if (i > 0) {
      EXPECT_NE(four.at("choices").at(i).at("ids"), one.at("ids"));
    }
  }
  EXPECT_EQ(four.at("seed"), 5);
  EXPECT_EQ(four.at("counts").at("generated"), 36);
  EXPECT_FALSE(four.contains("ids"));
  const ProgramResult text = Chosen({"-m", model_, "Once", "--samples", "2", "--max-new-tokens", "3"});
  EXPECT_THAT(text.out, AllOf(testing::StartsWith("--- sample 1 of 2 ("), HasSubstr("\n--- sample 2 of 2 (")));
}

TEST_F(GenerateChoices, TopLogprobsAreThoseOfTheRawLogitsWithoutPadding) {
  const Json got = Run({"Once upon", "--temperature", "1.5", "--top-k", "2", "--max-new-tokens", "6", "--seed", "1",
                        "--top-logprobs", "5"});
  ASSERT_EQ(got.at("top_logprobs").size(), got.at("ids").size());
  for (size_t i = 0; i < got.at("ids").size(); ++i) {
    const Json& top = got.at("top_logprobs").at(i);
    ASSERT_EQ(top.size(), 5u);
    double last = 0;
    for (const Json& token : top) {
      EXPECT_LE(token.at("logprob").get<double>(), last);
      last = token.at("logprob");
      EXPECT_LT(token.at("id").get<int>(), 726);  // ids of the tokenizer only; the model has 1,000
      EXPECT_TRUE(token.contains("token"));
      if (token.at("id") == got.at("ids").at(i)) {
        EXPECT_EQ(token.at("logprob"), got.at("logprobs").at(i));
      }
    }
  }
}

// Prompt log-probabilities equal those of `stablelm score` and those in the top lists at the same positions.
TEST_F(GenerateChoices, PromptLogprobsAreThoseOfScore) {
  const std::vector<std::string> ask = {"Once upon a time there was", "--max-new-tokens", "1",  "--temperature", "0",
                                        "--prompt-logprobs",          "--top-logprobs",   "700"};
  const Json got = Run(ask);
  const Json ids = got.at("prompt_ids");
  WriteFile(temp_.path() / "ids.json", "[" + ids.dump() + "]");
  const ProgramResult score =
      RunProgramBinary({"score", "-m", model_, "--ids-file", (temp_.path() / "ids.json").string(), "--json"});
  ASSERT_EQ(score.exit_code, 0) << score.err;
  EXPECT_EQ(got.at("prompt_logprobs"), Json::parse(score.out).at("logprobs"));
  ASSERT_EQ(got.at("prompt_top_logprobs").size(), ids.size() - 1);
  int found = 0;
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    for (const Json& token : got.at("prompt_top_logprobs").at(i)) {
      if (token.at("id") != ids.at(i + 1)) continue;
      EXPECT_EQ(token.at("logprob"), got.at("prompt_logprobs").at(i));
      ++found;
    }
  }
  EXPECT_GE(found, static_cast<int>(ids.size()) - 2);  // 700 of 726 are listed
  // Requesting them changes nothing else.
  const Json plain = Run({"Once upon a time there was", "--max-new-tokens", "1", "--temperature", "0"});
  for (const char* key : {"ids", "logprobs", "text"}) EXPECT_EQ(got.at(key), plain.at(key));
}

TEST_F(GenerateChoices, EchoPutsThePromptBeforeTheText) {
  const Json plain = Run({"Once upon", "--max-new-tokens", "4", "--temperature", "0"});
  const Json echo = Run({"Once upon", "--max-new-tokens", "4", "--temperature", "0", "--echo"});
  EXPECT_EQ(echo.at("text"), "Once upon" + plain.at("text").get<std::string>());
  EXPECT_EQ(echo.at("ids"), plain.at("ids"));
  const ProgramResult text =
      Chosen({"-m", model_, "Once upon", "--max-new-tokens", "4", "--temperature", "0", "--echo", "--no-newline"});
  EXPECT_EQ(text.out, echo.at("text").get<std::string>());
  const ProgramResult ids = Chosen({"-m", kParallel, "--ids", "1 2 3", "--max-new-tokens", "2", "--echo"});
  EXPECT_THAT(ids.out, testing::StartsWith("1 2 3 "));
  EXPECT_THAT(Run({"--user", "Hi", "--no-system", "--max-new-tokens", "1", "--echo"}).at("text").get<std::string>(),
              testing::StartsWith("<|USER|>Hi<|ASSISTANT|>"));
}

TEST_F(GenerateChoices, RefusesWithAClearError) {
  const struct {
    std::vector<std::string> arguments;
    int exit_code;
    const char* says;
  } kCases[] = {
      {{"x", "--samples", "3", "--greedy"}, 1, "every sample would be the same"},
      {{"x", "--samples", "0"}, 2, "--samples"},
      {{"x", "--samples", "2", "--beams", "2"}, 2, "--samples: contradicts --beams"},
      {{"x", "--beams", "2", "--num-return", "3"}, 1, "num_return: out of range: found 3, expected 1 to 2"},
      {{"x", "--beams", "1000"}, 2, "--beams"},
      {{"x", "--beams", "2", "--temperature", "1"}, 2, "draws nothing"},
      {{"x", "--beams", "2", "--preset", "card"}, 2, "draws nothing"},
      {{"x", "--beams", "2", "--top-logprobs", "2", "--json"}, 2, "is not told of beams"},
      {{"x", "--num-return", "2"}, 2, "--num-return: is for a beam search"},
      {{"x", "--length-penalty", "2"}, 2, "--length-penalty: is for a beam search"},
      {{"x", "--beams", "2", "--early-stopping", "yes"}, 2, "--early-stopping: unknown value"},
      {{"x", "--length-penalty", "nan", "--beams", "2"}, 2, "--length-penalty"},
      {{"x", "--top-logprobs", "2"}, 2, "--top-logprobs: shows in JSON alone"},
      {{"x", "--prompt-logprobs"}, 2, "--prompt-logprobs: shows in JSON alone"},
      {{"x", "--top-logprobs", "0", "--json"}, 2, "--top-logprobs"},
      {{"x", "--samples", "2", "--context-policy", "shift"}, 2, "--context-policy: shift is for one reply at a time"},
      {{"x", "--beams", "2", "--context-policy", "shift"}, 2, "--context-policy: shift is for one reply at a time"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.says);
    std::vector<std::string> arguments = {"-m", model_, "--max-new-tokens", "2"};
    arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
    const ProgramResult result = Chosen(arguments);
    EXPECT_EQ(result.exit_code, c.exit_code) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, AllOf(testing::StartsWith("error: "), HasSubstr(c.says)));
  }
}

}  // namespace
}  // namespace stablelm
