// What `finetune` tells while it trains: validation, answers, TensorBoard's file, the report, lines and the bar; and
// `report` on its folder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "finetune_testing.h"
#include "terminal_program.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class FineTuneWatchTest : public FineTuneFolderTest {
 protected:
  FineTuneWatchTest() {
    WriteShape(384);
    WriteChats("blue");
    PrepareChats("data", "sequence_length: 384\nvalidation: 0.2\nsources: [{path: chats.jsonl}]\n");
    Write("run.yaml", "from: init\nshape: shape.json\ntokenizer: " + TestData("tokenizer") +
                          "\ndata: data\nsteps: 60\noptimizer: {rate: 1e-2}\nsave_dtype: fp32\nvalidate_every: 25\n"
                          "samples: {prompts: [\"colour 7?\", \"colour 99?\"], every: 30, max_tokens: 20}\n");
  }
  std::vector<json> Log(const std::string& run, const std::string& event) const {
    std::vector<json> lines = LinesOf(BytesOf(Path(run + "/log.jsonl")));
    std::erase_if(lines, [&](const json& line) { return line.at("event") != event; });
    return lines;
  }
};

TEST_F(FineTuneWatchTest, ARunTellsHowItGoes) {
  const ProgramResult result = RunProgramBinary({"finetune", Path("run.yaml"), "-o", Path("run"), "--threads", "2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto steps = [&](const std::string& event) {
    std::vector<int> numbers;
    for (const json& line : Log("run", event)) numbers.push_back(line.at("step"));
    return numbers;
  };
  EXPECT_THAT(steps("validation"), ElementsAre(0, 25, 50, 60));
  EXPECT_THAT(steps("samples"), ElementsAre(0, 30, 60));
  EXPECT_THAT(steps("start"), ElementsAre(0));
  EXPECT_EQ(steps("step").size(), 60u);
  const std::vector<json> validations = Log("run", "validation");
  EXPECT_LT(validations.back().at("loss"), 0.5 * validations.front().at("loss").get<double>());
  EXPECT_EQ(validations.back().at("sources").at("chats").at("loss"), validations.back().at("loss"));

  // The answers are those that the checkpoint gives.
  const json samples = Log("run", "samples").back();
  for (const json& answer : samples.at("answers")) {
    const ProgramResult reply =
        RunProgramBinary({"generate", "-m", Path("run/checkpoints/step-60"), "--user", answer.at("prompt"), "--seed",
                          "1", "--max-new-tokens", "20", "--json"});
    EXPECT_EQ(reply.exit_code, 0) << reply.err;
    EXPECT_EQ(json::parse(reply.out).at("text"), answer.at("answer")) << reply.out;
  }
  EXPECT_EQ(samples.at("stop_rate"), 1);
  EXPECT_EQ(samples.at("self_dialogue_rate"), 0);
  EXPECT_EQ(Log("run", "samples").front().at("stop_rate"), 0);

  for (const char* part :
       {"  optimizer.rate: 0.01", "# recipe\n", "validation at step 25  loss ", "step  1/60  loss ",
        "answers at step 60  ended by themselves 2 of 2  talk to themselves 0 of 2\n  > colour 7?\n"}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
  EXPECT_THAT(result.out + result.err, Not(HasSubstr("\r")));
  EXPECT_TRUE(fs::exists(Path("run/events.out.tfevents.000001.stablelm")));
  const std::string report = BytesOf(Path("run/report.html"));
  EXPECT_THAT(report, HasSubstr("colour 99?"));

  // The report again, of the log alone, with half a line at its end.
  fs::create_directory(Path("copy"));
  Write("copy/log.jsonl", BytesOf(Path("run/log.jsonl")) + "{\"event\": \"st");
  const ProgramResult again = RunProgramBinary({"report", Path("copy")});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(again.out, Path("copy/report.html") + "\n");
  EXPECT_EQ(BytesOf(Path("copy/report.html")), report);
  Write("copy/log.jsonl", "{\"event\": \"st\n");
  EXPECT_THAT(RunProgramBinary({"report", Path("copy")}), Fails(1, Path("copy/log.jsonl") + ": line 1", {}));
  EXPECT_THAT(RunProgramBinary({"report", Path("data")}),
              Fails(1, Path("data"), {"no log.jsonl", "stablelm finetune"}));
}

TEST_F(FineTuneWatchTest, TheLogHasTheSameBitsWithOtherThreads) {
  std::string logs[2];
  for (const size_t i : {size_t{0}, size_t{1}}) {
    const std::string run = "run" + std::to_string(i);
    ASSERT_EQ(RunProgramBinary({"finetune", Path("run.yaml"), "-o", Path(run), "--threads", std::to_string(1 + 2 * i),
                                "--set", "steps=7", "--set", "validate_every=3", "--set", "samples.every=3", "--quiet"})
                  .exit_code,
              0);
    std::istringstream in(BytesOf(Path(run + "/log.jsonl")));
    for (std::string line; std::getline(in, line);) {
      json object = json::parse(line);
      for (const char* measured : {"seconds", "tokens_per_s", "memory_bytes"}) object.erase(measured);
      logs[i] += object.dump() + "\n";
    }
  }
  EXPECT_EQ(logs[0], logs[1]);
}

TEST_F(FineTuneWatchTest, OnATerminalABarStaysBelowTheLines) {
  TerminalProgram program(
      {"finetune", Path("run.yaml"), "-o", Path("run"), "--set", "steps=5", "--set", "samples.prompts=[]"},
      {.columns = 100});
  EXPECT_EQ(program.Exit(), 0);
  const std::string shown = program.all();
  EXPECT_THAT(shown, HasSubstr("step 1/5"));
  EXPECT_THAT(shown, testing::ContainsRegex("\r3/5 .*left\x1b\\[K\r\x1b\\[Kstep 4/5"));  // removed before the next line
  EXPECT_THAT(shown, HasSubstr("MB"));
}

// A text that nothing prepared the model for comes when it knows all others by heart.
TEST_F(FineTuneWatchTest, ALossThatJumpsIsSkippedLowersTheRateOrEndsTheRun) {
  std::string chats;
  for (int i = 0; i < 150; ++i) {
    chats += json{{"prompt", "colour " + std::to_string(i) + "?"}, {"response", "It is blue."}}.dump() + "\n";
  }
  Write("chats.jsonl", chats + json{{"prompt", "colour 150?"}, {"response", "9 8 zq 7 1 xj"}}.dump() + "\n");
  Write("odd.yaml", "tokenizer: " + TestData("tokenizer/tokenizer.json") +
                        "\ntemplate: stablelm-tuned\nsequence_length: 32\nvalidation: 0\n"
                        "sources: [{path: chats.jsonl, system: null}]\n");
  ASSERT_EQ(RunProgramBinary({"prepare", Path("odd.yaml"), "-o", Path("odd")}).exit_code, 0);
  const auto train = [&](const std::string& run, const std::string& on_spike) {
    return RunProgramBinary({"finetune", Path("run.yaml"), "-o", Path(run), "--set", "data=odd", "--set", "steps=302",
                             "--set", "schedule.shape=constant", "--set", "samples.prompts=[]", "--set",
                             "guard.on_spike=" + on_spike});
  };
  const ProgramResult skip = train("skip", "skip");
  ASSERT_EQ(skip.exit_code, 0) << skip.err;
  const std::vector<json> guards = Log("skip", "guard"), skipping = Log("skip", "step");
  ASSERT_FALSE(guards.empty());  // the text comes twice in two epochs, at first perhaps too early
  const size_t at = guards[0].at("step").get<size_t>() - 1;
  EXPECT_EQ(guards[0].at("action"), "skip");
  EXPECT_TRUE(skipping[at].at("skipped"));
  EXPECT_GT(skipping[at].at("loss"), 10 * 0.05);
  EXPECT_EQ(skipping[at].at("smoothed_loss"), skipping[at - 1].at("smoothed_loss"));
  EXPECT_THAT(skip.out, HasSubstr("; step skipped\n"));
  double sum = 0;  // of the last 20 steps that were applied
  size_t applied = 0;
  for (auto step = skipping.rbegin(); applied < 20; ++step) {
    if (step->at("skipped")) continue;
    sum += step->at("loss").get<double>();
    ++applied;
  }
  EXPECT_NEAR(skipping.back().at("smoothed_loss"), sum / 20, 1e-12);  // rounding of 20 additions of losses below 10

  ASSERT_EQ(train("lower", "lower").exit_code, 0);
  const std::vector<json> lowering = Log("lower", "step");
  EXPECT_FALSE(lowering[at].at("skipped"));
  EXPECT_EQ(lowering[at - 1].at("rate"), 0.01);
  EXPECT_EQ(lowering[at].at("rate"), 0.005);
  EXPECT_EQ(lowering.back().at("rate"), 0.005);

  EXPECT_THAT(train("stop", "stop"),
              Fails(1, "training step " + std::to_string(at + 1), {"guard.spike_z", "guard.on_spike=skip"}));
  EXPECT_EQ(Log("stop", "guard").size(), 1u);
  EXPECT_EQ(Log("stop", "step").size(), at + 1);
  EXPECT_THAT(BytesOf(Path("skip/report.html")), HasSubstr("deviations above"));
}

TEST_F(FineTuneWatchTest, ValuesThatAreNotFiniteEndTheRunOrAreSkipped) {
  ASSERT_EQ(RunProgramBinary(
                {"finetune", Path("run.yaml"), "-o", Path("base"), "--set", "steps=1", "--set", "samples.prompts=[]"})
                .exit_code,
            0);
  const std::string weights = Path("base/checkpoints/step-1/model.safetensors");
  std::string bytes = BytesOf(weights);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  const json header = json::parse(bytes.substr(8, length));
  const auto range =
      header.at("gpt_neox.layers.0.mlp.dense_4h_to_h.weight").at("data_offsets").get<std::vector<size_t>>();
  const float huge = 3e38f;  // finite itself
  for (size_t at = range[0]; at < range[1]; at += 4) std::memcpy(bytes.data() + 8 + length + at, &huge, 4);
  std::ofstream(weights, std::ios::binary) << bytes;

  const auto run = [&](std::vector<std::string> more) {
    const std::vector<std::string> all = {
        "finetune", Path("run.yaml"),     "--set", "from=" + Path("base/checkpoints/step-1"),
        "--set",    "samples.prompts=[]", "--set", "validate_every=0"};
    more.insert(more.begin(), all.begin(), all.end());
    return RunProgramBinary(more);
  };
  const std::string place = "layer 0, mlp.dense_4h_to_h, forward pass, document 0";
  EXPECT_THAT(run({"-o", Path("stop")}), Fails(1, "training step 1", {"not finite", place}));
  ASSERT_EQ(Log("stop", "step").size(), 1u);
  EXPECT_EQ(Log("stop", "step")[0].at("overflow"), place);
  EXPECT_TRUE(Log("stop", "step")[0].at("skipped"));
  // It stays so, and the budget ends it.
  const ProgramResult skipped =
      run({"-o", Path("skip"), "--set", "guard.on_not_finite=skip", "--set", "guard.max_skipped=2"});
  EXPECT_THAT(skipped, Fails(1, "training step 3", {"too many steps in a row", place, "found 3"}));
  EXPECT_THAT(skipped.out, HasSubstr("guard at step 2  not finite: " + place + "; step skipped\n"));
  EXPECT_EQ(Log("skip", "guard").size(), 3u);
}

// Answers during a run are those of `generate` with its checkpoint: the settings in a GGUF file count too.
TEST_F(FineTuneWatchTest, AnswersTakeTheSettingsOfAGgufFile) {
  const auto train = [&](const std::string& run, std::vector<std::string> more) {
    const std::vector<std::string> all = {"finetune", Path("run.yaml"),      "-o",    Path(run),
                                          "--set",    "validate_every=0",    "--set", "steps=1",
                                          "--set",    "samples.max_tokens=8"};
    more.insert(more.begin(), all.begin(), all.end());
    const ProgramResult result = RunProgramBinary(more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Path(run + "/checkpoints/step-1");
  };
  const std::string base = train("base", {"--set", "samples.prompts=[]"}), file = Path("base.gguf");
  Write("base/checkpoints/step-1/generation_config.json", R"({"do_sample": true, "temperature": 4.5, "top_k": 90})");
  ASSERT_EQ(RunProgramBinary({"convert", base, file}).exit_code, 0);
  const std::string full = train("full", {"--set", "from=" + file});
  const std::string adapters = train("adapters", {"--set", "from=" + file, "--set", "lora.rank=2"});
  for (const auto& [run, model] : {std::pair("full", std::vector{full}),
                                   std::pair("adapters", std::vector{file, std::string("--lora"), adapters})}) {
    const json answer = Log(run, "samples").back().at("answers")[0];
    std::vector<std::string> words = {"generate", "--user", answer.at("prompt"), "--seed", "1", "--max-new-tokens", "8",
                                      "--json",   "-m"};
    words.insert(words.end(), model.begin(), model.end());
    const ProgramResult reply = RunProgramBinary(words);
    EXPECT_EQ(json::parse(reply.out).at("text"), answer.at("answer")) << run << reply.err;
  }
}

TEST_F(FineTuneWatchTest, CheckpointsWithoutAValidationAreSaid) {
  const auto warnings = [&](const std::string& steps) {
    return RunProgramBinary({"finetune", Path("run.yaml"), "--dry-run", "--set", "checkpoint_every=" + steps}).err;
  };
  EXPECT_THAT(warnings("10"), HasSubstr("checkpoint_every, 10, is not a multiple of validate_every, 25"));
  EXPECT_THAT(warnings("10"), HasSubstr("every 50 steps and the last one"));
  EXPECT_THAT(warnings("40"), HasSubstr("a validation loss, the last one"));
  const ProgramResult never =
      RunProgramBinary({"finetune", Path("run.yaml"), "--dry-run", "--set", "steps=1099511627776", "--set",
                        "checkpoint_every=1099511627775", "--set", "validate_every=1099511627773"});
  EXPECT_THAT(never.err, HasSubstr("a validation loss, the last one"));
  for (const char* steps : {"25", "50", "0", "60"}) EXPECT_THAT(warnings(steps), Not(HasSubstr("best"))) << steps;
}

TEST_F(FineTuneWatchTest, ADryRunCountsTheAnswers) {
  const ProgramResult result = RunProgramBinary({"finetune", Path("run.yaml"), "-o", Path("run"), "--dry-run"});
  EXPECT_THAT(result.out, HasSubstr("  sample answers\n"));
  EXPECT_THAT(result.out, HasSubstr("on_spike: stop"));
}

TEST_F(FineTuneWatchTest, AReportThatCannotBeWrittenIsAWarning) {
  ProgramInput input;
  bool made = false;
  input.while_running = [&](pid_t) {  // a folder of that name cannot be replaced by a file
    if (!made && fs::exists(Path("run"))) made = fs::create_directories(Path("run/report.html/x"));
  };
  const ProgramResult result = RunProgramBinary(
      {"finetune", Path("run.yaml"), "-o", Path("run"), "--set", "steps=30", "--set", "samples.prompts=[]"}, input);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("warning: " + Path("run/report.html")));
}

TEST_F(FineTuneWatchTest, ASamplePromptThatDoesNotFitIsRefusedBeforeItBegins) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "w" + std::to_string(i) + " ";
  EXPECT_THAT(RunProgramBinary(
                  {"finetune", Path("run.yaml"), "-o", Path("run"), "--set", "samples.prompts=[\"" + text + "\"]"}),
              Fails(1, "samples.prompts[0]", {"384"}));
  EXPECT_FALSE(fs::exists(Path("run")));
}

}  // namespace
}  // namespace stablelm
