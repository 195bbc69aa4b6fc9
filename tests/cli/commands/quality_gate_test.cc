// stablelm quantize --check: what it reports, keeps and refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "base/sha256.h"
#include "checkpoint/gguf/gguf_testing.h"
#include "eval/quality.h"
#include "golden_command.h"
#include "program_error.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

class QualityGateOfQuantize : public testing::Test {
 protected:
  QualityGateOfQuantize() { WriteFile(text_, Text()); }
  static std::string Text() {
    std::string text;
    for (int i = 0; i < 40; ++i) text += "The cat number " + std::to_string(i * 7) + " sat on a mat.\n";
    return text;
  }
  ProgramResult Quantize(const fs::path& out, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"quantize", "-m", model_, out.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunProgramBinary(arguments);
  }
  // Only the model and the text remain, no output file, finished or not.
  void ExpectNothingWritten() {
    for (const auto& entry : fs::directory_iterator(temp_.path())) {
      EXPECT_THAT(entry.path().filename().string(), testing::AnyOf("with_tokenizer", "text.txt"));
    }
  }
  const TempFolder temp_;
  const std::string model_ = ModelWithTokenizer(temp_);
  const fs::path text_ = temp_.path() / "text.txt", file_ = temp_.path() / "q.gguf";
};

TEST_F(QualityGateOfQuantize, ReportsAndKeepsWhatItFound) {
  const ProgramResult result = Quantize(
      file_, {"--type", "Q4_K", "--check", text_.string(), "--check-tokens", "300", "--max-kl", "10", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json check = Json::parse(result.out).at("check");
  EXPECT_EQ(check.at("text"), "text.txt");
  EXPECT_EQ(check.at("text_sha256"), Sha256Hex(Text()));
  EXPECT_EQ(check.at("window"), 256);  // the model's context
  EXPECT_EQ(check.at("tokens"), 255 + 43);
  EXPECT_GT(check.at("mean_kl").get<double>(), 0);
  EXPECT_GE(check.at("p99_kl"), check.at("mean_kl"));
  EXPECT_GE(check.at("largest_kl"), check.at("p99_kl"));
  EXPECT_LE(check.at("same_first").get<double>(), 1);
  // The file has the record, and the same weights as without the check.
  const GgufFile file(file_);
  const auto record = ReadQualityKeys(file.header());
  ASSERT_TRUE(record);
  EXPECT_EQ(record->quality.mean_kl, check.at("mean_kl"));
  EXPECT_EQ(record->quality.perplexity, check.at("perplexity"));
  EXPECT_EQ(record->quality.source_perplexity, check.at("source_perplexity"));
  const fs::path plain = temp_.path() / "plain.gguf";
  ASSERT_EQ(Quantize(plain, {"--type", "Q4_K"}).exit_code, 0);
  const GgufFile without(plain);
  EXPECT_FALSE(ReadQualityKeys(without.header()));
  EXPECT_EQ(file.map().text().substr(file.header().data_begin),
            without.map().text().substr(without.header().data_begin));
  const ProgramResult inspect = RunProgramBinary({"inspect", file_.string()});
  EXPECT_THAT(inspect.out, AllOf(HasSubstr("check       KL divergence"), HasSubstr("298 tokens of \"text.txt\"")));
  // The same results for any number of threads.
  const ProgramResult again = Quantize(temp_.path() / "again.gguf", {"--type", "Q4_K", "--check", text_.string(),
                                                                     "--check-tokens", "300", "--threads", "1"});
  EXPECT_THAT(again.out, AllOf(HasSubstr("KL divergence      mean"), HasSubstr("298 tokens in windows of 256")));
  fs::remove(file_);
  ASSERT_EQ(Quantize(file_, {"--type", "Q4_K", "--check", text_.string(), "--check-tokens", "300", "--threads", "3"})
                .exit_code,
            0);
  EXPECT_EQ(Sha256HexOfFile(file_), Sha256HexOfFile(temp_.path() / "again.gguf"));
}

TEST_F(QualityGateOfQuantize, PerplexityIsThatOfScore) {
  const ProgramResult result =
      Quantize(file_, {"--type", "Q5_K", "--check", text_.string(), "--check-tokens", "200", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json check = Json::parse(result.out).at("check");
  // The first 200 tokens as ids, one window.
  const ProgramResult tokens = RunProgramBinary({"tokenize", "-m", model_, "--file", text_.string(), "--json"});
  ASSERT_EQ(tokens.exit_code, 0) << tokens.err;
  std::vector<int32_t> ids = Json::parse(tokens.out).at("ids");
  ids.resize(200);
  const fs::path list = temp_.path() / "ids.json";
  WriteFile(list, Json::array({ids}).dump());
  for (const auto& [model, key] : {std::pair{model_, "source_perplexity"}, std::pair{file_.string(), "perplexity"}}) {
    const ProgramResult score = RunProgramBinary({"score", "-m", model, "--ids-file", list.string(), "--json"});
    ASSERT_EQ(score.exit_code, 0) << score.err;
    const double want = Json::parse(score.out).at("perplexity");
    EXPECT_NEAR(check.at(key).get<double>(), want, 1e-6 * want) << key;
  }
}

TEST_F(QualityGateOfQuantize, WhatLosesNothingPassesAtZero) {
  const ProgramResult result = Quantize(file_, {"--type", "F32", "--check", text_.string(), "--max-kl", "0", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json check = Json::parse(result.out).at("check");
  EXPECT_EQ(check.at("largest_kl"), 0);
  EXPECT_EQ(check.at("same_first"), 1);
  EXPECT_EQ(check.at("perplexity_change"), 0);
}

TEST_F(QualityGateOfQuantize, RefusesAndLeavesNothing) {
  ProgramResult result = Quantize(file_, {"--type", "Q4_0", "--check", text_.string(), "--max-kl", "1e-9"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("--max-kl"), HasSubstr("at most 1e-09"), HasSubstr("was not written")));
  EXPECT_THAT(result.out, HasSubstr("KL divergence"));
  ExpectNothingWritten();
  result = Quantize(file_, {"--type", "Q4_0", "--check", text_.string(), "--max-kl", "1e-9", "--json"});
  EXPECT_THAT(result, Fails(1, "--max-kl", {"at most 1e-09"}));
  EXPECT_EQ(Json::parse(result.out).at("passed"), false);
  ExpectNothingWritten();
}

TEST_F(QualityGateOfQuantize, AFileMadeFromACheckedOneIsNotChecked) {
  ASSERT_EQ(Quantize(file_, {"--type", "F16", "--check", text_.string()}).exit_code, 0);
  const fs::path next = temp_.path() / "next.gguf", converted = temp_.path() / "converted.gguf";
  ASSERT_EQ(RunProgramBinary({"quantize", "-m", file_.string(), "--type", "Q8_0", next.string()}).exit_code, 0);
  ASSERT_EQ(RunProgramBinary({"convert", file_.string(), converted.string(), "--dtype", "bf16"}).exit_code, 0);
  for (const fs::path& path : {next, converted}) EXPECT_FALSE(ReadQualityKeys(GgufFile(path).header())) << path;
}

TEST_F(QualityGateOfQuantize, SaysWhatIsWrongBeforeItWorks) {
  EXPECT_THAT(Quantize(file_, {"--max-kl", "0.1"}), Fails(2, "--max-kl", {"--check"}));
  EXPECT_THAT(Quantize(file_, {"--check", text_.string(), "--check-tokens", "1"}),
              Fails(2, "--check-tokens", {"\"1\""}));
  EXPECT_THAT(Quantize(file_, {"--check", text_.string(), "--max-kl", "-1"}), Fails(2, "--max-kl", {"\"-1\""}));
  EXPECT_THAT(Quantize(file_, {"--check", text_.string(), "--max-kl", "nan"}), Fails(2, "--max-kl", {"\"nan\""}));
  WriteFile(text_, "");
  EXPECT_THAT(Quantize(file_, {"--check", text_.string()}), Fails(1, text_.string()));
  WriteFile(text_, "caf\xe9 and more");
  EXPECT_THAT(Quantize(file_, {"--check", text_.string()}), Fails(1, text_.string(), {"byte 3"}));
  fs::remove(fs::path(model_) / "tokenizer.json");
  WriteFile(text_, Text());
  EXPECT_THAT(Quantize(file_, {"--check", text_.string()}), Fails(1, model_, {"tokenizer"}));
  ExpectNothingWritten();
}

TEST_F(QualityGateOfQuantize, InspectWarnsOfKeysThatMakeNoSense) {
  WriteGgufOf(model_, file_, [](GgufMetadata& metadata) { metadata.SetText("stablelm.check.text", "wiki.txt"); });
  const ProgramResult result = RunProgramBinary({"inspect", file_.string()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr("warning:"), HasSubstr("stablelm.check.")));
  EXPECT_THAT(result.out, Not(HasSubstr("KL divergence")));
}

}  // namespace
}  // namespace stablelm
