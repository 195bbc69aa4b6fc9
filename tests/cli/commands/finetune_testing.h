// Runs of `finetune` in tests: a small shape, data of 40 conversations, and what is left of a run.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "program_error.h"
#include "run_program.h"
#include "temp_folder.h"
#include "test_paths.h"
#include "train/run_log.h"

namespace stablelm {

inline std::string BytesOf(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {(std::istreambuf_iterator<char>(in)), {}};
}

inline std::vector<nlohmann::json> LinesOf(const std::string& text) {
  std::vector<nlohmann::json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

// A folder with the shape of a small model, and data made there.
class FineTuneFolderTest : public testing::Test {
 protected:
  void WriteShape(int positions) {
    const nlohmann::json shape = {{"architectures", {"GPTNeoXForCausalLM"}},
                                  {"model_type", "gpt_neox"},
                                  {"vocab_size", 768},
                                  {"hidden_size", 32},
                                  {"num_hidden_layers", 1},
                                  {"num_attention_heads", 2},
                                  {"intermediate_size", 64},
                                  {"max_position_embeddings", positions},
                                  {"rotary_pct", 0.25},
                                  {"hidden_act", "gelu"},
                                  {"use_parallel_residual", true}};
    Write("shape.json", shape.dump());
  }
  // 40 conversations that end in "It is COLOUR.".
  void WriteChats(const std::string& colour) {
    std::string chats;
    for (int i = 0; i < 40; ++i) {
      chats +=
          nlohmann::json{{"prompt", "colour " + std::to_string(i) + "?"}, {"response", "It is " + colour + "."}}.dump();
      chats += "\n";
    }
    Write("chats.jsonl", chats);
  }
  // `rest`: lines of the recipe.
  void PrepareChats(const std::string& out, const std::string& rest, const std::vector<std::string>& more = {}) {
    Write("data.yaml", "tokenizer: " + TestData("tokenizer/tokenizer.json") + "\ntemplate: stablelm-tuned\n" + rest);
    std::vector<std::string> arguments = {"prepare", Path("data.yaml"), "-o", Path(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = RunProgramBinary(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
  std::string Path(const std::string& name) const { return (folder_.path() / name).string(); }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.path() / name, std::ios::binary) << text;
  }
  TempFolder folder_;
};

class FineTuneTest : public FineTuneFolderTest {
 protected:
  FineTuneTest() {
    WriteShape(128);
    WriteChats("blue");
    Prepare("data", {});
    Write("run.yaml", "from: init\nshape: shape.json\ntokenizer: " + TestData("tokenizer") +
                          "\ndata: data\nepochs: 20\noptimizer: {rate: 1e-2}\nsave_dtype: fp32\n");
  }
  void Prepare(const std::string& out, const std::vector<std::string>& more) {
    PrepareChats(out, "sequence_length: 128\nvalidation: 0\nsources: [{path: chats.jsonl, system: null}]\n", more);
  }
  ProgramResult Run(std::vector<std::string> arguments, const ProgramInput& input = {}) {
    arguments.insert(arguments.begin(), {"finetune", Path("run.yaml")});
    return RunProgramBinary(arguments, input);
  }
  ProgramResult Resume(const std::string& run, std::vector<std::string> more = {}, const ProgramInput& input = {}) {
    more.insert(more.begin(), {"finetune", "--resume", Path(run)});
    return RunProgramBinary(more, input);
  }
  // What a run logged, without what depends on time.
  std::vector<nlohmann::json> LogOf(const std::string& run) const {
    std::vector<nlohmann::json> lines = LinesOf(BytesOf(Path(run + "/log.jsonl")));
    for (nlohmann::json& line : lines) {
      for (const std::string_view key : kMeasuredKeys) line.erase(std::string(key));
    }
    return lines;
  }
  // The steps that a run logged.
  size_t StepsIn(const std::string& run) const {
    size_t steps = 0;
    for (const nlohmann::json& line : LogOf(run)) steps += line.value("event", "") == "step";
    return steps;
  }
  // The names in a folder.
  std::vector<std::string> NamesIn(const std::string& folder) const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(Path(folder))) {
      names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
  }
  // The hash of the run's last checkpoint.
  static std::string HashOf(const ProgramResult& result) {
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const std::vector<nlohmann::json> lines = LinesOf(result.out);
    return lines.empty() ? "" : lines.back().value("sha256", "");
  }
};

}  // namespace stablelm
