// stablelm generate with text: prompts as bytes, streams of whole characters, text equal to the decoded ids.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/utf8.h"
#include "golden_command.h"
#include "program_error.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

class GenerateText : public testing::Test {
 protected:
  ProgramResult Generate(std::vector<std::string> arguments, const ProgramInput& input = {}) {
    arguments.insert(arguments.begin(), {"generate", "-m", model_});
    return RunProgramBinary(arguments, input);
  }
  Json GenerateJson(std::vector<std::string> arguments, const ProgramInput& input = {}) {
    arguments.emplace_back("--json");
    const ProgramResult result = Generate(arguments, input);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out);
  }

  const TempFolder temp_;
  const std::string model_ = ModelWithTokenizer(temp_);
  const Tokenizer tokenizer_ = Tokenizer::FromFile(kTokenizer, {.model_vocab_size = 1000});
};

TEST_F(GenerateText, PromptsAreTakenByteForByte) {
  const std::string text = " \n  Ünïcode, a tab\t and  spaces \n\n";
  const Json argument = GenerateJson({text, "--greedy", "--max-new-tokens", "3"});
  EXPECT_EQ(argument.at("prompt_ids"), tokenizer_.Encode(text));
  EXPECT_EQ(GenerateJson({"--max-new-tokens", "3"}, {.standard_input = text}).at("prompt_ids"),
            argument.at("prompt_ids"));
  WriteFile(temp_.path() / "prompt", text);
  const std::string file = (temp_.path() / "prompt").string();
  EXPECT_EQ(GenerateJson({"--file", file, "--greedy", "--max-new-tokens", "3"}).at("ids"), argument.at("ids"));
}

TEST_F(GenerateText, SpecialTokensAreTextUnlessAskedFor) {
  const std::string text = "<|USER|>hi";
  EXPECT_EQ(GenerateJson({text, "--max-new-tokens", "1"}).at("prompt_ids"), tokenizer_.Encode(text));
  const std::vector<int32_t> special = tokenizer_.Encode(text, {.parse_special = true});
  ASSERT_EQ(special[0], tokenizer_.TokenId("<|USER|>"));
  EXPECT_EQ(GenerateJson({text, "--max-new-tokens", "1", "--parse-special"}).at("prompt_ids"), special);
}

// Sampling byte tokens at a high temperature gives invalid UTF-8: the output has U+FFFD, never part of a character.
TEST_F(GenerateText, StreamedTextIsWhatTheIdsDecodeTo) {
  for (int seed = 0; seed < 6; ++seed) {
    const std::vector<std::string> arguments = {
        "Once", "--temperature", "2", "--seed", std::to_string(seed), "--ignore-eos", "--max-new-tokens", "120"};
    const Json json = GenerateJson(arguments);
    const std::vector<int32_t> ids = json.at("ids");
    EXPECT_EQ(json.at("text"), tokenizer_.Decode(ids));
    std::string text = tokenizer_.Decode(ids);
    std::vector<std::string> exact = arguments;
    exact.emplace_back("--no-newline");
    EXPECT_EQ(Generate(exact).out, text);
    if (!text.ends_with('\n')) text += '\n';
    const ProgramResult plain = Generate(arguments);
    EXPECT_EQ(plain.out, text);
    EXPECT_EQ(utf8::FirstInvalid(plain.out), utf8::kValid);
  }
}

TEST_F(GenerateText, TheStopTokenIsInTheIdsAndNotInTheText) {
  const Json free = GenerateJson({"Once", "--greedy", "--ignore-eos", "--max-new-tokens", "4"});
  std::vector<int32_t> ids = free.at("ids");
  Json config = Json::parse(std::ifstream(model_ + "/config.json"));
  config["eos_token_id"] = ids[3];
  WriteFile(model_ + "/config.json", config.dump());
  const Json stopped = GenerateJson({"Once", "--greedy"});
  ids = stopped.at("ids").get<std::vector<int32_t>>();
  EXPECT_EQ(stopped.at("finish_reason"), "stop");
  EXPECT_EQ(ids.back(), free.at("ids").at(3));
  ids.pop_back();
  EXPECT_EQ(stopped.at("text"), tokenizer_.Decode(ids));
  EXPECT_EQ(Generate({"Once", "--greedy"}).out, tokenizer_.Decode(ids) + "\n");
}

TEST_F(GenerateText, InvalidUtf8IsRefusedOrReplaced) {
  const std::string bad =
      "ab\xFF"
      "cd";
  const ProgramResult refused = Generate({"--max-new-tokens", "1"}, {.standard_input = bad});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_EQ(refused.out, "");
  EXPECT_THAT(refused.err, HasSubstr("not UTF-8 at byte 2"));
  const Json replaced = GenerateJson({"--invalid-utf8", "replace", "--max-new-tokens", "1"}, {.standard_input = bad});
  EXPECT_EQ(replaced.at("prompt_ids"), tokenizer_.Encode("ab\uFFFD"
                                                         "cd"));
}

TEST_F(GenerateText, EmptyPromptsAndMissingFilesAreErrors) {
  EXPECT_THAT(Generate({""}), Fails(1, "the prompt"));
  EXPECT_THAT(Generate({}), Fails(1, "the prompt"));  // nothing on standard input
  const std::string missing = (temp_.path() / "nothing").string();
  EXPECT_THAT(Generate({"--file", missing}), Fails(1, missing));
  EXPECT_THAT(Generate({"a", "--file", "b"}), Fails(2, "--file"));
}

TEST_F(GenerateText, ATokenizerThatDoesNotFitTheModelIsRefused) {
  const TempFolder other;
  const std::filesystem::path folder = other.path() / "model";
  std::filesystem::copy(kParallel, folder);
  std::filesystem::copy_file(kTokenizer, folder / "tokenizer.json");  // 726 ids for a model with 512
  const ProgramResult result = RunProgramBinary({"generate", "-m", folder.string(), "Once"});
  EXPECT_THAT(result, Fails(1, (folder / "tokenizer.json").string(), {"726", "512"}));
}

}  // namespace
}  // namespace stablelm
