// stablelm bench train and fit --for finetune: the promised fields, the same plan, refused arguments.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden_command.h"
#include "program_error.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

ProgramResult Bench(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"bench", "train", "--threads", "2", "--no-machine"});
  return RunProgramBinary(arguments);
}

TEST(BenchTrain, TellsOfTheStepInEveryPrecision) {
  for (const char* precision : {"fp32", "bf16", "fp16"}) {
    const ProgramResult result = Bench({kParallel, "--precision", precision, "--batch", "2", "--context", "16",
                                        "--micro-batches", "2", "--recompute", "mlp", "--samples", "2", "--json"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const Json json = Json::parse(result.out);
    EXPECT_EQ(json.at("precision"), precision);
    EXPECT_EQ(json.at("trained"), json.at("parameters"));
    EXPECT_GT(json.at("tokens_per_s"), 0);
    EXPECT_LE(json.at("min"), json.at("tokens_per_s"));
    EXPECT_GE(json.at("max"), json.at("tokens_per_s"));
    EXPECT_GT(json.at("loss"), 0);
    EXPECT_TRUE(json.at("share").is_null());
    for (const char* part :
         {"forward", "loss", "input gradients", "weight gradients", "attention backward", "update", "rest"}) {
      EXPECT_TRUE(json.at("ms").contains(part)) << part;
    }
    const ProgramResult fit =
        RunProgramBinary({"fit", kParallel, "--for", "finetune", "--precision", precision, "--batch", "2", "--context",
                          "16", "--recompute", "mlp", "--threads", "2", "--json"});
    EXPECT_EQ(Json::parse(fit.out).at("total_bytes"), json.at("planned_bytes"));
  }
}

TEST(BenchTrain, TrainsWhatIsNamedAndReadsShapes) {
  const ProgramResult some = Bench({kParallel, "--context", "8", "--samples", "1", "--trained", "*.layers.2.*bias",
                                    "--trained", "embed_out*", "--json"});
  ASSERT_EQ(some.exit_code, 0) << some.err;
  const Json json = Json::parse(some.out);
  EXPECT_EQ(json.at("trained"), 64 + 64 + 192 + 64 + 256 + 64 + 512 * 64);
  const ProgramResult shape = Bench({"--shape", kParallel, "--context", "8", "--samples", "1", "--csv"});
  ASSERT_EQ(shape.exit_code, 0) << shape.err;
  EXPECT_THAT(shape.out, HasSubstr("tokens_per_s"));
  const ProgramResult text = Bench({"--shape", kParallel, "--context", "8", "--samples", "1", "--md"});
  EXPECT_THAT(text.out, HasSubstr("| weight gradients |"));
}

TEST(BenchTrain, BadArgumentsAreRefused) {
  const auto refused = [](std::vector<std::string> arguments, const std::string& words, const std::string& found) {
    const ProgramResult result = Bench(std::move(arguments));
    EXPECT_NE(result.exit_code, 0) << words;
    EXPECT_THAT(result.err, testing::AllOf(HasSubstr(words), HasSubstr(found)));
    EXPECT_TRUE(result.out.empty());
  };
  refused({kParallel, "--batch", "0"}, "--batch", "found \"0\"");
  refused({kParallel, "--context", "4096"}, "--context", "found 4096");
  refused({kParallel, "--recompute", "maybe"}, "--recompute", "maybe");
  refused({kParallel, "--precision", "int8"}, "--precision", "int8");
  refused({kParallel, "--trained", "*.layers.9.*"}, "trained parameters", "*.layers.9.*");
  refused({kParallel, "--shape", "3b"}, "given twice", "");
  refused({"--shape", "3b", "--batch", "512", "--context", "4096"}, "does not fit", "activations kept");
  refused({kParallel, "--targets", "1.5"}, "--targets", "1.5");
  const TempFolder temp;
  const std::string file = (temp.path() / "q8.gguf").string();
  ASSERT_EQ(RunProgramBinary({"quantize", kParallel, file, "Q8_0", "--quiet"}).exit_code, 0);
  refused({file}, "quantized matrices cannot be trained", "Q8_0");
}

TEST(FitForFinetune, CountsEighteenBytesForEachParameterInBf16) {
  for (const auto& [shape, bytes] : {std::pair{"3b", 65.47e9}, std::pair{"7b", 141.64e9}}) {
    const ProgramResult result = RunProgramBinary(
        {"fit", "--shape", shape, "--for", "finetune", "--precision", "bf16", "--context", "512", "--json"});
    const Json json = Json::parse(result.out);
    double sum = 0;
    for (const Json& part : json.at("parts")) {
      const std::string name = part.at("name");
      if (name == "weights (bf16)" || name == "master weights" || name == "gradients" || name == "moments of AdamW") {
        sum += part.at("bytes").get<double>();
      }
    }
    EXPECT_NEAR(sum, bytes, 1e-3 * bytes);
  }
  const ProgramResult mixed = RunProgramBinary({"fit", kParallel, "--for", "finetune", "--kv", "q8"});
  EXPECT_EQ(mixed.exit_code, 2);
  EXPECT_THAT(mixed.err, HasSubstr("--precision"));
  const ProgramResult generation = RunProgramBinary({"fit", kParallel, "--precision", "bf16"});
  EXPECT_EQ(generation.exit_code, 2);
  EXPECT_THAT(generation.err, HasSubstr("--for finetune"));
}

}  // namespace
}  // namespace stablelm
