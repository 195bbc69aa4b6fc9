// --compute fast on the command line: what it changes, its messages, and that it does not change a quantized model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "golden_command.h"
#include "run_program.h"
#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {
namespace {

using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

const std::string kModel = TestData("golden/head128_fp16");

const std::vector<int32_t> kIds = {5, 17, 90, 3, 44, 44, 7, 25};

ProgramResult Generate(const std::string& model, std::vector<std::string> more) {
  more.insert(more.begin(), {"generate", "-m", model, "--ids", "5 17 90 3 44", "--max-new-tokens", "4", "--greedy"});
  const ProgramResult result = RunProgramBinary(more);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result;
}

std::vector<double> Logprobs(const std::string& model, std::vector<std::string> more) {
  const TempFolder temp;
  const std::filesystem::path ids = temp.path() / "ids.json";
  WriteFile(ids, Json::array({kIds}).dump());
  more.insert(more.begin(), {"score", "-m", model, "--ids-file", ids.string(), "--json"});
  const ProgramResult result = RunProgramBinary(more);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  std::vector<double> logprobs;
  for (const Json& one : json.at("logprobs")) {
    if (one.is_number()) logprobs.push_back(one.get<double>());
  }
  return logprobs;
}

// Both have the bits of the model that they name; how far apart the two are is model.fast_test's matter.
TEST(Compute, ChoosesTheArithmetic) {
  const auto here = [](Compute compute) {
    const Transformer model(LoadWeights(ModelFolder::Open(kModel), {.compute = compute}));
    return LogprobsHere(model, kIds, DType::kF32);
  };
  const std::vector<double> exact = here(Compute::kExact), fast = here(Compute::kFast);
  EXPECT_NE(exact, fast);
  EXPECT_EQ(Logprobs(kModel, {}), exact);
  EXPECT_EQ(Logprobs(kModel, {"--compute", "exact"}), exact);
  EXPECT_EQ(Logprobs(kModel, {"--compute", "fast"}), fast);
}

TEST(Compute, FastIsSaidInResults) {
  EXPECT_EQ(Json::parse(Generate(kModel, {"--json", "--compute", "fast"}).out).at("compute"), "fast");
  EXPECT_FALSE(Json::parse(Generate(kModel, {"--json"}).out).contains("compute"));
  EXPECT_THAT(Generate(kModel, {"--compute", "fast"}).err, Not(HasSubstr("changes nothing")));
}

TEST(Compute, ChangesNoQuantizedModel) {
  const TempFolder temp;
  const std::string file = (temp.path() / "q8.gguf").string();
  ASSERT_EQ(RunProgramBinary({"quantize", "-m", kModel, "--type", "Q8_0", file}).exit_code, 0);
  EXPECT_EQ(Logprobs(file, {"--compute", "fast"}), Logprobs(file, {}));
  EXPECT_THAT(Generate(file, {"--compute", "fast"}).err, HasSubstr("--compute fast changes nothing"));
}

TEST(Compute, FitPlansTwoBytesForEveryWeight) {
  const auto weights = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"fit", "--shape", "3b", "--json"});
    const ProgramResult result = RunProgramBinary(more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const Json json = Json::parse(result.out);
    for (const Json& part : json.at("parts")) {
      if (part.at("name") == "weights (packed)") return part.at("bytes").get<uint64_t>();
    }
    return uint64_t{0};
  };
  EXPECT_EQ(weights({"--dtype", "fp32", "--compute", "fast"}), weights({"--dtype", "bf16"}));
  EXPECT_LT(weights({"--dtype", "fp32", "--compute", "fast"}), weights({"--dtype", "fp32"}));
}

TEST(Compute, BenchJudgesByTheBf16Peak) {
  const ProgramResult result = RunProgramBinary({"bench", "model", "-m", kModel, "--threads", "1", "--samples", "1",
                                                 "-p", "8", "-b", "0", "--compute", "fast", "--quiet", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json.at("compute"), "fast");
  const bool bf16 = json.at("simd") == "avx3_bf16" || json.at("simd") == "avx3_amx";
  EXPECT_EQ(json.at("bf16_gflops") > 0, bf16);
  EXPECT_EQ(json.at("results").at(0).at("share_of"), bf16 ? "bf16" : "fp32");
}

}  // namespace
}  // namespace stablelm
