// stablelm tokenize and detokenize through the real program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "program_error.h"
#include "run_program.h"
#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::string kTokenizer = TestData("tokenizer/tokenizer.json");

ProgramResult Tokenize(std::vector<std::string> arguments, const ProgramInput& input = {}) {
  arguments.insert(arguments.begin(), {"tokenize", "--tokenizer", kTokenizer});
  return RunProgramBinary(arguments, input);
}
ProgramResult Detokenize(std::vector<std::string> arguments, const ProgramInput& input = {}) {
  arguments.insert(arguments.begin(), {"detokenize", "--tokenizer", kTokenizer});
  return RunProgramBinary(arguments, input);
}

TEST(Tokenize, JsonHasIdsPiecesAndOffsets) {
  const ProgramResult r = Tokenize({"--json", "the caf\xC3\xA9  x"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.err, "");
  const json line = json::parse(r.out);
  std::string joined;
  size_t at = 0;
  ASSERT_EQ(line.at("ids").size(), line.at("pieces").size());
  ASSERT_EQ(line.at("ids").size(), line.at("offsets").size());
  for (size_t i = 0; i < line.at("ids").size(); ++i) {
    joined += line.at("pieces")[i].get<std::string>();
    EXPECT_EQ(line.at("offsets")[i][0], at);
    at = line.at("offsets")[i][1];
  }
  EXPECT_EQ(at, 12u);
  EXPECT_THAT(joined, HasSubstr("  x"));
}

TEST(Tokenize, VectorsThroughTheProgram) {
  std::ifstream file(TestData("tokenizer/vectors.json"));
  size_t tried = 0;
  for (const json& v : json::parse(file)) {
    const std::string name = v.at("name"), text = v.at("text");
    if (!name.starts_with("special") && !name.starts_with("NUL") && !name.starts_with("BOM") && name != "roles" &&
        !name.starts_with("trailing") && name != "empty") {
      continue;
    }
    ++tried;
    const ProgramResult special = Tokenize({"--json", "--parse-special"}, {.standard_input = text});
    EXPECT_EQ(json::parse(special.out).at("ids"), v.at("ids")) << name;
    const ProgramResult plain = Tokenize({"--json", "--ids"}, {.standard_input = text});
    EXPECT_EQ(json::parse(plain.out), json({{"ids", v.at("ids_plain")}})) << name;
    const ProgramResult back = Detokenize({}, {.standard_input = Tokenize({"--ids"}, {.standard_input = text}).out});
    EXPECT_EQ(back.out, text) << name;
  }
  EXPECT_GE(tried, 20u);
}

TEST(Tokenize, LinesForPeople) {
  const ProgramResult r = Tokenize({"<|USER|>\xF0\x9F\x98\x81", "--parse-special"});
  EXPECT_EQ(r.exit_code, 0);
  EXPECT_THAT(r.out, HasSubstr("\t0-8\t\"<|USER|>\"\n"));
  EXPECT_THAT(r.out, HasSubstr("\\x81"));  // part of a character is shown as bytes
}

TEST(Tokenize, InputFromFileAndPipeIsTakenAsItIs) {
  const TempFolder folder;
  const std::string path = (folder.path() / "in.txt").string();
  const std::string text("\xEF\xBB\xBF a \r\n\0b\n\n", 12);
  std::ofstream(path, std::ios::binary) << text;
  const ProgramResult file = Tokenize({"--ids", "--file", path});
  const ProgramResult pipe = Tokenize({"--ids"}, {.standard_input = text});
  EXPECT_EQ(file.out, pipe.out);
  EXPECT_EQ(Detokenize({}, {.standard_input = file.out}).out, text);
}

TEST(Tokenize, InvalidUtf8) {
  const ProgramResult refused = Tokenize({"--json", "ab\xED\xA0\x80"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_EQ(refused.out, "");
  EXPECT_THAT(refused.err, HasSubstr("byte 2"));
  const ProgramResult replaced = Tokenize({"--json", "--invalid-utf8", "replace", "ab\xE4\xBD"});
  EXPECT_EQ(replaced.exit_code, 0);
  EXPECT_EQ(json::parse(replaced.out).at("ids"), json::parse(Tokenize({"--json", "ab\xEF\xBF\xBD"}).out).at("ids"));
}

TEST(Tokenize, ModelFolderWithoutWeights) {
  const TempFolder folder;
  EXPECT_THAT(RunProgramBinary({"tokenize", "-m", folder.path().string(), "x"}).err, HasSubstr("no tokenizer"));
  std::filesystem::copy_file(kTokenizer, folder.path() / "tokenizer.json");
  const ProgramResult r = RunProgramBinary({"tokenize", "-m", folder.path().string(), "--ids", "the"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.out, Tokenize({"--ids", "the"}).out);
}

// Model ids beyond the tokenizer's have no text; config.json gives the number of ids.
TEST(Tokenize, IdsOfTheModelWithoutText) {
  const TempFolder folder;
  std::filesystem::copy_file(kTokenizer, folder.path() / "tokenizer.json");
  json config = {{"model_type", "gpt_neox"},
                 {"vocab_size", 800},
                 {"hidden_size", 64},
                 {"num_hidden_layers", 1},
                 {"num_attention_heads", 4},
                 {"intermediate_size", 256},
                 {"rotary_pct", 0.25},
                 {"rotary_emb_base", 10000},
                 {"max_position_embeddings", 128},
                 {"hidden_act", "gelu"},
                 {"use_parallel_residual", true},
                 {"layer_norm_eps", 1e-5}};
  std::ofstream(folder.path() / "config.json") << config.dump();
  const std::string model = folder.path().string();
  const ProgramResult r = RunProgramBinary({"detokenize", "-m", model, "66 799 66"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.out.size(), 2u);
  EXPECT_THAT(RunProgramBinary({"detokenize", "-m", model, "800"}), Fails(1, "tokenizer", {"found 800"}));
  config["vocab_size"] = 100;
  std::ofstream(folder.path() / "config.json") << config.dump();
  EXPECT_THAT(RunProgramBinary({"tokenize", "-m", model, "x"}).err, HasSubstr("does not fit the model"));
}

TEST(Tokenize, WrongUsage) {
  EXPECT_THAT(RunProgramBinary({"tokenize", "x"}), Fails(2, "-m, --tokenizer"));
  EXPECT_THAT(RunProgramBinary({"tokenize", "-m", ".", "--tokenizer", kTokenizer, "x"}),
              Fails(2, "-m, --tokenizer", {"two"}));
  EXPECT_THAT(Tokenize({"--parse-specials", "x"}), Fails(2, "tokenize", {"\"--parse-specials\"", "--parse-special?"}));
  EXPECT_THAT(Tokenize({"--invalid-utf8", "ignore", "x"}), Fails(2, "--invalid-utf8", {"\"ignore\""}));
  EXPECT_THAT(RunProgramBinary({"tokenize", "--tokenizer", "/nowhere.json", "x"}), Fails(1, "/nowhere.json"));
  const std::string folder = TestData();
  EXPECT_THAT(RunProgramBinary({"tokenize", "--tokenizer", folder, "x"}), Fails(1, folder, {"a folder"}));
}

TEST(Detokenize, FormsOfIds) {
  const ProgramResult plain = Detokenize({"67 68 69"});
  EXPECT_EQ(plain.exit_code, 0) << plain.err;
  EXPECT_EQ(plain.out.size(), 3u);
  EXPECT_EQ(Detokenize({"[67, 68, 69]"}).out, plain.out);
  EXPECT_EQ(Detokenize({}, {.standard_input = "67\n68\r\n69\n"}).out, plain.out);
  EXPECT_EQ(Detokenize({""}).out, "");
  const ProgramResult j = Detokenize({"--json", "67 68 69"});
  EXPECT_EQ(json::parse(j.out), json({{"ids", {67, 68, 69}}, {"text", plain.out}}));
}

TEST(Detokenize, BadIds) {
  EXPECT_THAT(Detokenize({"67 x9 69"}), Fails(2, "id 2", {"\"x9\""}));
  EXPECT_THAT(Detokenize({"67 6.5"}), Fails(2, "id 2", {"\"6.5\""}));
  EXPECT_THAT(Detokenize({"99999999999"}), Fails(2, "id 1", {"\"99999999999\""}));
  EXPECT_THAT(Detokenize({"100000"}), Fails(1, "tokenizer", {"found 100000"}));
  EXPECT_THAT(Detokenize({"[-1]"}), Fails(1, "tokenizer", {"found -1"}));
}

TEST(Detokenize, SpecialTokensAndSpaces) {
  const std::string ids = Tokenize({"--parse-special", "--ids", "<|USER|>a , b"}).out;
  EXPECT_EQ(Detokenize({ids}).out, "<|USER|>a , b");
  EXPECT_EQ(Detokenize({"--skip-special", ids}).out, "a , b");
  EXPECT_EQ(Detokenize({"--skip-special", "--clean-up-spaces", ids}).out, "a, b");
}

}  // namespace
}  // namespace stablelm
