// `finetune` as a user runs it: prepared data, steps, a model that the other commands open; what is refused before
// anything long begins; a run that is stopped.
#include <csignal>

#include "cli/commands/finetune_testing.h"
#include "train/run_estimate.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

// Those of the steps.
std::vector<json> StepsOf(std::vector<json> lines) {
  std::erase_if(lines, [](const json& line) { return line.value("event", "") != "step"; });
  return lines;
}

class FineTuneCommandTest : public FineTuneTest {};

TEST_F(FineTuneCommandTest, TrainsAModelThatEveryCommandOpens) {
  const ProgramResult result = Run({"-o", Path("run"), "--json", "--threads", "2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::vector<json> lines = LinesOf(result.out);
  const json end = lines.back();
  lines.pop_back();
  EXPECT_EQ(LinesOf(BytesOf(Path("run/log.jsonl"))), lines);
  lines = StepsOf(lines);
  ASSERT_EQ(lines.size(), end.at("steps"));
  EXPECT_GT(lines.size(), 100U);
  EXPECT_LT(lines.back().at("loss"), 0.3 * lines.front().at("loss").get<double>());
  EXPECT_DOUBLE_EQ(lines.back().at("epoch"), 20);
  const std::string model = end.at("model");
  EXPECT_TRUE(fs::exists(fs::path(model) / "stablelm_chat.json"));
  EXPECT_THAT(BytesOf(fs::path(model) / "README.md"), HasSubstr("licence not stated"));
  const ProgramResult reply = RunProgramBinary(
      {"generate", "-m", model, "--user", "colour 7?", "--no-system", "--temperature", "0", "--max-new-tokens", "20"});
  EXPECT_EQ(reply.exit_code, 0) << reply.err;
  EXPECT_THAT(reply.out, HasSubstr("It is blue.")) << reply.err;
  // The same bits with another number of threads, and from there on.
  ASSERT_EQ(Run({"-o", Path("again"), "--threads", "1", "--quiet"}).exit_code, 0);
  EXPECT_EQ(BytesOf(fs::path(model) / "model.safetensors"),
            BytesOf(fs::path(Path("again/checkpoints")) / fs::path(model).filename() / "model.safetensors"));
  const ProgramResult further = Run({"-o", Path("further"), "--set", "from=" + model, "--set", "steps=2", "--json"});
  ASSERT_EQ(further.exit_code, 0) << further.err;
  EXPECT_LT(StepsOf(LinesOf(further.out)).front().at("loss"), 0.3 * lines.front().at("loss").get<double>());
}

TEST_F(FineTuneCommandTest, ADryRunTellsEverySettingAndWritesNothing) {
  const ProgramResult result = Run({"--dry-run", "--set", "optimizer.rate=3e-4"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part :
       {"rate: 3e-04  # command line", "beta1: 0.9  # card", "moments of AdamW", " steps of 1 packs"}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
  EXPECT_THAT(result.out, HasSubstr(" s a step, "));
  EXPECT_FALSE(fs::exists(Path("runs")));
  const ProgramResult lines = Run({"--dry-run", "--json"});
  const json object = json::parse(lines.out);
  EXPECT_EQ(object.at("fits"), true);
  EXPECT_GT(object.at("seconds_per_step"), 0.0);
  EXPECT_NEAR(object.at("seconds"), object.at("steps").get<double>() * object.at("seconds_per_step").get<double>(),
              1e-6 * object.at("seconds").get<double>());
}

TEST_F(FineTuneCommandTest, WhatDoesNotFitIsPlannedAndRefusedWithTheCheapestChange) {
  json shape = json::parse(BytesOf(Path("shape.json")));
  shape["hidden_size"] = 16384;
  shape["intermediate_size"] = 65536;
  shape["num_hidden_layers"] = 400;
  Write("huge.json", shape.dump());
  const ProgramResult huge = Run({"--dry-run", "--json", "--set", "shape=huge.json"});
  EXPECT_THAT(huge, Fails(1, "memory", {"available", "a smaller `shape` or fewer `trained` parameters"}));
  const json plan = json::parse(huge.out);
  EXPECT_EQ(plan.at("fits"), false);
  EXPECT_FALSE(plan.contains("seconds"));
  EXPECT_THAT(Run({"-o", Path("run"), "--set", "shape=huge.json"}), Fails(1, "memory", {"available"}));
  EXPECT_FALSE(fs::exists(Path("run")));

  const std::vector<std::string> sets = {"rows=2", "micro_batches=2"};
  const FineTune tune(ReadRunRecipe(Path("run.yaml"), sets).recipe);
  const auto change = [&](uint64_t bytes) { return CheapestChange(tune, 2, {.bytes = bytes, .by = "a test"}); };
  EXPECT_THAT(change(tune.Plan(2).Total() - 1), testing::StartsWith("--set rows=1 --set micro_batches=4 needs "));
  EXPECT_THAT(change(1000), testing::AllOf(HasSubstr("--set rows=1"), HasSubstr("the least")));
}

TEST_F(FineTuneCommandTest, RefusesWhatCannotBeTrainedBeforeItBegins) {
  const auto refused = [&](std::vector<std::string> more, const std::string& where, std::vector<std::string> parts,
                           int code = 1) {
    std::vector<std::string> arguments = {"-o", Path("run")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_THAT(Run(arguments), Fails(code, where, parts));
    EXPECT_FALSE(fs::exists(Path("run")));
  };
  refused({"--set", "optimizer.rate=0"}, "--set optimizer.rate", {"above 0"}, 2);
  refused({"--set", "rows=0"}, "--set rows", {"1"}, 2);
  refused({"--set", "optimiser.rate=1"}, "--set optimiser", {"optimizer"}, 2);
  refused({"--set", "recompute=maybe"}, "--set recompute", {"none, mlp, layer"}, 2);
  refused({"--set", "rows=1000"}, "training data", {"fewer packs than a step takes", "`--set rows="});
  refused({"--set", "steps=30", "--set", "schedule.warmup=40"}, "`warmup`",
          {"found 40", "expected 0 to 30", "`--set schedule.warmup=3`"});
  refused({"--set", "data=nowhere"}, "nowhere/manifest.json", {"there is no such file", "stablelm prepare"});
  json shape = json::parse(BytesOf(Path("shape.json")));
  shape["max_position_embeddings"] = 64;
  Write("short.json", shape.dump());
  refused({"--set", "shape=short.json"}, Path("data"), {"longer than the model's context", "sequence_length=64"});
  json tokenizer = json::parse(BytesOf(TestData("tokenizer/tokenizer.json")));
  tokenizer["model"]["merges"].erase(3);
  fs::create_directory(Path("other"));
  Write("other/tokenizer.json", tokenizer.dump());
  refused({"--set", "tokenizer=other"}, Path("data"), {"another tokenizer", "prepare them for this model"});
  fs::create_directory(Path("taken"));
  EXPECT_THAT(Run({"-o", Path("taken")}), Fails(1, Path("taken"), {"name another folder"}));
  // Nobody makes folders there: no permission, or a file system that is only read.
  EXPECT_THAT(Run({"-o", "/sys/run"}),
              Fails(1, "/sys/run", {"cannot create", "choose a folder that you may write to"}));
}

// A name in their place would be looked for.
TEST_F(FineTuneCommandTest, ReadyRecipesAskForModelAndData) {
  for (const char* name : {"full", "lora", "qlora"}) {
    const std::string recipe = TestData("../../recipes/train/" + std::string(name) + ".yaml");
    EXPECT_THAT(RunProgramBinary({"finetune", recipe}), Fails(1, recipe, {"from", "a hub id"}));
    EXPECT_THAT(RunProgramBinary({"finetune", recipe, "--set", "from=model"}),
                Fails(1, recipe, {"data", "stablelm prepare"}));
  }
}

TEST_F(FineTuneCommandTest, AnInterruptSavesWhatThereIs) {
  ProgramInput input;
  bool sent = false;
  input.while_running = [&](pid_t program) {
    if (sent || BytesOf(Path("run/log.jsonl")).find("\"event\":\"step\"") == std::string::npos) return;
    sent = kill(program, SIGINT) == 0;
  };
  const ProgramResult result = Run({"-o", Path("run"), "--set", "epochs=100000"}, input);
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_THAT(result.out, HasSubstr("stopped after step "));
  const auto steps = std::to_string(StepsOf(LinesOf(BytesOf(Path("run/log.jsonl")))).size());
  EXPECT_EQ(RunProgramBinary({"inspect", Path("run/checkpoints/step-" + steps)}).exit_code, 0);
}

}  // namespace
}  // namespace stablelm
