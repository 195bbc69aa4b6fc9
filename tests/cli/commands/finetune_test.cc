// `finetune` as a user runs it: prepared data, steps, a model that the other commands open; what is refused before
// anything long begins; a run that is stopped.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "program_error.h"
#include "run_program.h"
#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

std::string BytesOf(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {(std::istreambuf_iterator<char>(in)), {}};
}

std::vector<json> LinesOf(const std::string& text) {
  std::vector<json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line));
  return lines;
}

// Those of the steps.
std::vector<json> StepsOf(std::vector<json> lines) {
  std::erase_if(lines, [](const json& line) { return line.value("event", "") != "step"; });
  return lines;
}

class FineTuneCommandTest : public testing::Test {
 protected:
  FineTuneCommandTest() {
    json shape = {{"architectures", {"GPTNeoXForCausalLM"}},
                  {"model_type", "gpt_neox"},
                  {"vocab_size", 768},
                  {"hidden_size", 32},
                  {"num_hidden_layers", 1},
                  {"num_attention_heads", 2},
                  {"intermediate_size", 64},
                  {"max_position_embeddings", 128},
                  {"rotary_pct", 0.25},
                  {"hidden_act", "gelu"},
                  {"use_parallel_residual", true}};
    Write("shape.json", shape.dump());
    std::string chats;
    for (int i = 0; i < 40; ++i) {
      chats += json{{"prompt", "colour " + std::to_string(i) + "?"}, {"response", "It is blue."}}.dump() + "\n";
    }
    Write("chats.jsonl", chats);
    Prepare("data", {});
    Write("run.yaml", "from: init\nshape: shape.json\ntokenizer: " + TestData("tokenizer") +
                          "\ndata: data\nepochs: 20\noptimizer: {rate: 1e-2}\nsave_dtype: fp32\n");
  }
  void Prepare(const std::string& out, std::vector<std::string> more) {
    Write("data.yaml", "tokenizer: " + TestData("tokenizer/tokenizer.json") +
                           "\ntemplate: stablelm-tuned\nsequence_length: 128\nvalidation: 0\n"
                           "sources: [{path: chats.jsonl, system: null}]\n");
    std::vector<std::string> arguments = {"prepare", Path("data.yaml"), "-o", Path(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = RunProgramBinary(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
  std::string Path(const std::string& name) const { return (folder_.path() / name).string(); }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.path() / name, std::ios::binary) << text;
  }
  ProgramResult Run(std::vector<std::string> arguments, const ProgramInput& input = {}) {
    arguments.insert(arguments.begin(), {"finetune", Path("run.yaml")});
    return RunProgramBinary(arguments, input);
  }
  TempFolder folder_;
};

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
  EXPECT_FALSE(fs::exists(Path("runs")));
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
  refused({"--set", "rows=1000"}, "training data", {"fewer packs than a step takes"});
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
  EXPECT_THAT(Run({"-o", Path("taken")}), Fails(1, Path("taken"), {"there already"}));
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
