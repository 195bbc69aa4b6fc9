// --lora with the real program: logits, results and records, memory, errors; inspect and lora merge.
#include <gmock/gmock.h>

#include "checkpoint/adapter/adapter_folder.h"
#include "checkpoint/adapter/adapter_writer.h"
#include "checkpoint/gguf/gguf_testing.h"
#include "golden_command.h"
#include "model/load_adapters.h"
#include "program_error.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::HasSubstr;
using testing::Not;

const std::string kBase = TestData("golden/lora/base"), kAdapter = TestData("golden/lora/adapter_after8");
const std::string kIdsText = "3 1 4 1 5 9";
const std::vector<int32_t> kSixIds = {3, 1, 4, 1, 5, 9};

class Lora : public testing::Test {
 protected:
  Json JsonOf(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    const ProgramResult run = RunProgramBinary(arguments);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return Json::parse(run.out);
  }
  // The log-probabilities of `score`.
  std::vector<double> Scores(const fs::path& model, const std::vector<std::string>& more = {}) {
    WriteFile(temp_.path() / "ids.json", "[[3, 1, 4, 1, 5, 9]]");
    std::vector<std::string> arguments = {"score", "-m", model.string(), "--ids-file",
                                          (temp_.path() / "ids.json").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return JsonOf(arguments).at("logprobs").get<std::vector<double>>();
  }
  static std::vector<double> Here(double scale) {
    const Transformer model(WithAdapters(LoadWeights(ModelFolder::Open(kBase), {}),
                                         std::vector<AdapterChoice>{{AdapterFolder::Open(kAdapter), scale}}));
    return LogprobsHere(model, kSixIds, DType::kF32);
  }
  const TempFolder temp_;
};

TEST_F(Lora, ScoresAreThoseOfTheLibrary) {
  EXPECT_EQ(Scores(kBase, {"--lora", kAdapter}), Here(1));
  EXPECT_EQ(Scores(kBase, {"--lora", kAdapter + ":0.5"}), Here(0.5));
  EXPECT_EQ(Scores(kBase, {"--lora", kAdapter + ":0"}), Scores(kBase));
  EXPECT_NE(Scores(kBase, {"--lora", kAdapter}), Scores(kBase));
  WriteGgufOf(kBase, temp_.path() / "base.gguf");
  EXPECT_EQ(Scores(temp_.path() / "base.gguf", {"--lora", kAdapter}), Here(1));
}

TEST_F(Lora, APathThatExistsIsTakenWhole) {
  const fs::path odd = temp_.path() / "adapter:0.5";
  fs::copy(kAdapter, odd);
  EXPECT_EQ(Scores(kBase, {"--lora", odd.string()}), Here(1));
  EXPECT_EQ(Scores(kBase, {"--lora", odd.string() + ":0.5"}), Here(0.5));
}

TEST_F(Lora, ResultsNameTheAdapterByItsHash) {
  const std::string hash = AdapterFolder::Open(kAdapter)->Sha256();
  const Json result = JsonOf(
      {"generate", "-m", kBase, "--lora", kAdapter + ":2", "--ids", kIdsText, "--max-new-tokens", "2", "--seed", "1"});
  EXPECT_EQ(result.at("lora"), Json({{{"path", kAdapter}, {"sha256", hash}, {"rank", 4}, {"alpha", 8}, {"scale", 2}}}));
  EXPECT_FALSE(JsonOf({"generate", "-m", kBase, "--ids", kIdsText, "--max-new-tokens", "2"}).contains("lora"));
  EXPECT_EQ(JsonOf({"generate", "-m", kBase, "--lora", kAdapter, "--show-config"}).at("lora")[0].at("sha256"), hash);
  EXPECT_THAT(RunProgramBinary({"generate", "-m", kBase, "--lora", kAdapter, "--show-config"}).out, HasSubstr(hash));
  const Json bench = JsonOf({"bench", "model", kBase, "--lora", kAdapter, "-p", "8", "-b", "1", "-n", "2", "--depth",
                             "4", "--samples", "1", "--no-machine"});
  EXPECT_EQ(bench.at("lora")[0].at("sha256"), hash);
}

// A run over a file of prompts resumes with the same adapter alone.
TEST_F(Lora, RunsAreResumedWithTheSameAdapter) {
  const std::string prompts = (temp_.path() / "prompts.jsonl").string(), out = (temp_.path() / "out.jsonl").string();
  WriteFile(prompts, "{\"ids\": [1, 2, 3]}\n{\"ids\": [4, 5]}\n");
  const auto run = [&](const std::string& lora) {
    return RunProgramBinary({"generate", "-m", kBase, "--lora", lora, "--input", prompts, "--output", out,
                             "--max-new-tokens", "2", "--seed", "1"});
  };
  ASSERT_EQ(run(kAdapter).exit_code, 0);
  EXPECT_EQ(run(kAdapter).exit_code, 0);
  const std::string record = ReadTextFile(out + ".run.json", 1 << 20);
  EXPECT_THAT(record, HasSubstr(AdapterFolder::Open(kAdapter)->Sha256()));
  EXPECT_THAT(record, Not(HasSubstr(kAdapter)));
  EXPECT_THAT(run(kAdapter + ":0.5"), Fails(1, out, {"lora"}));
  EXPECT_THAT(run(TestData("golden/lora/adapter_start")), Fails(1, out, {"lora"}));
}

TEST_F(Lora, FitCountsIt) {
  const auto adapters = [](const Json& plan) {
    for (const Json& part : plan.at("parts")) {
      if (part.at("name") == "adapters") return part.at("bytes").get<uint64_t>();
    }
    return uint64_t{0};
  };
  const auto folder = AdapterFolder::Open(kAdapter);
  EXPECT_EQ(adapters(JsonOf({"fit", kBase, "--lora", kAdapter})),
            PlanAdapters(ModelFolder::Open(kBase)->config(), std::vector<AdapterChoice>{{folder}}));
  EXPECT_EQ(adapters(JsonOf({"fit", kBase})), 0u);
}

TEST_F(Lora, Errors) {
  const auto score = [](const std::string& lora) {
    return RunProgramBinary({"score", "-m", kBase, "--lora", lora, "text"});
  };
  EXPECT_THAT(score("no/such/folder/at/all"), Fails(1, "no/such/folder/at/all"));
  EXPECT_THAT(score(kAdapter + ":x"), Fails(2, "--lora: scale", {"\"x\""}));
  EXPECT_THAT(score(kAdapter + ":1e9"), Fails(2, "--lora: scale", {"\"1e9\""}));
  EXPECT_THAT(score(kBase), Fails(1, kBase, {"whole model", "-m"}));
  // An adapter in the place of the model.
  EXPECT_THAT(RunProgramBinary({"score", "-m", kAdapter, "text"}), Fails(1, kAdapter, {"--lora"}));
  EXPECT_THAT(RunProgramBinary({"score", "-m", kParallel, "--lora", kAdapter, "text"}),
              Fails(1, kAdapter, {"lora_A.weight", "[4, 32]"}));
  EXPECT_THAT(RunProgramBinary({"quantize", "-m", kBase, "--lora", kAdapter, "out.gguf"}),
              Fails(2, "--lora", {"lora merge"}));
}

// An adapter of rank 1 on `dense` of every layer.
void WriteRankOne(const std::string& model, const fs::path& folder) {
  const auto opened = ModelFolder::Open(model);
  std::vector<MatrixToAdapt> matrices;
  for (const WeightEntry& entry : opened->table()) {
    if (entry.kind != WeightKind::kAttnOutWeight) continue;
    const auto ones = [](int64_t n) { return [n](int64_t, float* out) { std::fill_n(out, n, 0.01f); }; };
    matrices.push_back({entry, ones(entry.shape[1]), ones(1)});
  }
  AdapterConfig config = {.rank = 1, .alpha = 1};
  config.targets.names = {"dense"};
  fs::create_directory(folder);
  WriteAdapter(folder, {.model = opened->config(), .config = config, .matrices = matrices});
}

// The chat record of an adapter takes the place of the model's.
TEST_F(Lora, ItsChatRecordHolds) {
  const std::string model = ModelWithTokenizer(temp_);
  const fs::path adapter = temp_.path() / "adapter";
  WriteRankOne(model, adapter);
  WriteFile(adapter / "stablelm_chat.json", R"({"template": "none"})");
  const Json with = JsonOf({"generate", "-m", model, "--lora", adapter.string(), "--show-config"});
  EXPECT_EQ(with.at("template"), "none");
  EXPECT_EQ(with.at("template_from"), (adapter / "stablelm_chat.json").string());
  EXPECT_NE(JsonOf({"generate", "-m", model, "--show-config"}).at("template"), "none");
  // It goes along into a merged model.
  const std::string merged = (temp_.path() / "merged").string();
  ASSERT_EQ(RunProgramBinary({"lora", "merge", "-m", model, "--lora", adapter.string(), merged}).exit_code, 0);
  EXPECT_EQ(JsonOf({"generate", "-m", merged, "--show-config"}).at("template"), "none");
}

TEST_F(Lora, InspectDescribesAnAdapter) {
  const Json object = JsonOf({"inspect", kAdapter});
  EXPECT_EQ(object.at("kind"), "adapter");
  EXPECT_EQ(object.at("rank"), 4);
  EXPECT_EQ(object.at("scale"), 2);
  EXPECT_EQ(object.at("parameters"), 4096);
  EXPECT_EQ(object.at("sha256"), AdapterFolder::Open(kAdapter)->Sha256());
  EXPECT_EQ(object.at("target_modules").size(), 4u);
  EXPECT_EQ(JsonOf({"inspect", kAdapter, "--tensors"}).at("tensors").size(), 16u);
  EXPECT_THAT(RunProgramBinary({"inspect", kAdapter}).out, HasSubstr("query_key_value"));
}

void ExpectNear(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], tolerance) << i;
}

TEST_F(Lora, MergeMakesAModel) {
  const fs::path folder = temp_.path() / "merged", gguf = temp_.path() / "merged.gguf", half = temp_.path() / "half";
  const std::vector<std::string> command = {"lora", "merge", "-m", kBase, "--lora", kAdapter};
  const auto merge = [&](const fs::path& out, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = command;
    arguments.push_back(out.string());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunProgramBinary(arguments);
  };
  const ProgramResult run = merge(folder, {"--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(Json::parse(run.out).at("changed_matrices"), 8);
  ASSERT_EQ(merge(gguf).exit_code, 0);
  ASSERT_EQ(merge(half, {"--dtype", "fp16"}).exit_code, 0);
  const std::vector<double> want = Scores(kBase, {"--lora", kAdapter});
  ExpectNear(Scores(folder), want, 3e-5);
  EXPECT_EQ(Scores(gguf), Scores(folder));  // the rows of QKV in their other order
  ExpectNear(Scores(half), want, 5e-3);
  EXPECT_EQ(ModelFolder::Open(half.string())->TensorOf(0).dtype, DType::kF16);
  // A GGUF base, whose rows are in that order already.
  WriteGgufOf(kBase, temp_.path() / "base.gguf");
  const fs::path from_gguf = temp_.path() / "from_gguf";
  ASSERT_EQ(
      RunProgramBinary({"lora", "merge", (temp_.path() / "base.gguf").string(), from_gguf.string(), "--lora", kAdapter})
          .exit_code,
      0);
  EXPECT_EQ(Scores(from_gguf), Scores(folder));
  EXPECT_THAT(merge(folder), Fails(1, folder.string()));
  EXPECT_THAT(RunProgramBinary({"lora", "merge", "-m", kBase, (temp_.path() / "x").string()}), Fails(2, "--lora"));
}

TEST_F(Lora, MergeRefusesToQuantizeAgain) {
  const std::string model = TestData("golden/head128_fp16");
  const fs::path quantized = temp_.path() / "base.gguf", adapter = temp_.path() / "adapter";
  ASSERT_EQ(RunProgramBinary({"quantize", model, quantized.string(), "--type", "Q8_0"}).exit_code, 0);
  WriteRankOne(model, adapter);
  const std::vector<std::string> command = {
      "lora", "merge", "-m", quantized.string(), "--lora", adapter.string(), (temp_.path() / "out").string()};
  EXPECT_THAT(RunProgramBinary(command), Fails(1, quantized.string(), {"Q8_0", "--dtype"}));
  EXPECT_FALSE(fs::exists(temp_.path() / "out"));
  std::vector<std::string> half = command;
  half.insert(half.end(), {"--dtype", "fp16"});
  EXPECT_EQ(RunProgramBinary(half).exit_code, 0);
  EXPECT_THAT(Scores(quantized, {"--lora", adapter.string()}), testing::SizeIs(5));
}

}  // namespace
}  // namespace stablelm
