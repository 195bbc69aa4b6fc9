// `finetune` with adapters, and from GGUF files, as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "finetune_testing.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

// A model that answers "It is blue.", and data that say "It is red." instead.
class FineTuneLoraTest : public FineTuneFolderTest {
 protected:
  FineTuneLoraTest() {
    WriteShape(128);
    Prepare("blue");
    Prepare("red");
    Write("base.yaml", "from: init\nshape: shape.json\ntokenizer: " + TestData("tokenizer") +
                           "\ndata: blue\nepochs: 20\noptimizer: {rate: 1e-2}\nsave_dtype: fp32\n");
    Write("lora.yaml",
          "from: base/checkpoints/step-100\ndata: red\nepochs: 20\nlora: {rank: 4, alpha: 8, dropout: 0.05}\n"
          "optimizer: {rate: 1e-2, weight_decay: 0}\n");
    const ProgramResult base =
        RunProgramBinary({"finetune", Path("base.yaml"), "-o", Path("base"), "--set", "steps=100", "--quiet"});
    EXPECT_EQ(base.exit_code, 0) << base.err;
    base_ = Path("base/checkpoints/step-100");
  }
  void Prepare(const std::string& colour) {
    WriteChats(colour);
    PrepareChats(colour, "sequence_length: 128\nvalidation: 0\nsources: [{path: chats.jsonl, system: null}]\n");
  }
  // Trains, and returns the folder of the last checkpoint.
  std::string Train(const std::string& run, std::vector<std::string> more = {},
                    const std::string& recipe = "lora.yaml") {
    std::vector<std::string> arguments = {"finetune", Path(recipe), "-o", Path(run), "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = RunProgramBinary(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::string last;
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) last = line;
    return json::parse(last).at("model");
  }
  std::string Reply(std::vector<std::string> model) {
    std::vector<std::string> arguments = {"generate",      "--user", "colour 7?",        "--no-system",
                                          "--temperature", "0",      "--max-new-tokens", "20"};
    arguments.insert(arguments.end(), model.begin(), model.end());
    const ProgramResult result = RunProgramBinary(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  }
  std::vector<double> Losses(const std::string& run) const {
    std::vector<double> losses;
    std::ifstream log(Path(run) + "/log.jsonl");
    for (std::string line; std::getline(log, line);) {
      const json object = json::parse(line);
      if (object.contains("rate")) losses.push_back(object.at("loss"));
    }
    EXPECT_FALSE(losses.empty());
    return losses;
  }
  std::string base_;
};

TEST_F(FineTuneLoraTest, TrainsAnAdapterAndLeavesTheBase) {
  const std::string before = BytesOf(fs::path(base_) / "model.safetensors");
  const std::string adapter = Train("run", {"--threads", "2"});
  EXPECT_TRUE(BytesOf(fs::path(base_) / "model.safetensors") == before);
  EXPECT_FALSE(fs::exists(fs::path(adapter) / "model.safetensors"));
  EXPECT_TRUE(fs::exists(fs::path(adapter) / "stablelm_chat.json"));
  EXPECT_THAT(BytesOf(fs::path(adapter) / "README.md"),
              AllOf(HasSubstr(base_), HasSubstr("| model.safetensors | "), HasSubstr("library_name: peft")));
  EXPECT_THAT(Reply({"-m", base_}), HasSubstr("It is blue."));
  EXPECT_THAT(Reply({"-m", base_, "--lora", adapter}), HasSubstr("It is red."));
  // The adapter is of its base: another model in the same chat goes without it, and the chat says so.
  fs::copy(base_, Path("copy"), fs::copy_options::recursive);
  const ProgramResult chat = RunProgramBinary({"chat", "-m", base_, "--lora", adapter, "--no-system"},
                                              {.standard_input = "/model " + Path("copy") + "\ncolour 7?\n"});
  EXPECT_THAT(chat.err, HasSubstr("warning: " + Path("copy") + " is taken without the adapters of --lora"));
  EXPECT_THAT(chat.out, HasSubstr("It is blue."));
  // The same bits with another number of threads.
  const std::string again = Train("again", {"--threads", "1"});
  EXPECT_TRUE(BytesOf(fs::path(again) / "adapter_model.safetensors") ==
              BytesOf(fs::path(adapter) / "adapter_model.safetensors"));
  const std::string other = Train("other", {"--set", "seed=2"});
  EXPECT_FALSE(BytesOf(fs::path(other) / "adapter_model.safetensors") ==
               BytesOf(fs::path(adapter) / "adapter_model.safetensors"));
}

TEST_F(FineTuneLoraTest, OverQuantizedBases) {
  ASSERT_EQ(RunProgramBinary({"quantize", base_, Path("base.gguf"), "--type", "q8_0"}).exit_code, 0);
  const std::string over_file = Train("file", {"--set", "from=" + Path("base.gguf")});
  EXPECT_THAT(Reply({"-m", Path("base.gguf"), "--lora", over_file}), HasSubstr("It is red."));
  // Quantized on loading it is the same base, whose rows are in another order: the gradients are summed in another
  // order.
  const std::string on_load = Train("load", {"--set", "base_dtype=q8_0"});
  EXPECT_THAT(Reply({"-m", base_, "--quantize", "q8_0", "--lora", on_load}), HasSubstr("It is red."));
  EXPECT_EQ(Losses("load")[0], Losses("file")[0]);
  EXPECT_NEAR(Losses("load")[5], Losses("file")[5], 1e-4);
}

TEST_F(FineTuneLoraTest, EveryParameterFromAGgufFileOfFloats) {
  ASSERT_EQ(RunProgramBinary({"convert", base_, Path("base.gguf")}).exit_code, 0);
  Write("full.yaml", "from: base.gguf\ndata: red\nepochs: 5\noptimizer: {rate: 1e-2}\nsave_dtype: fp32\n");
  const std::string from_gguf = Train("gguf", {}, "full.yaml");
  Train("folder", {"--set", "from=" + base_}, "full.yaml");
  EXPECT_EQ(Losses("gguf")[0], Losses("folder")[0]);
  EXPECT_NEAR(Losses("gguf")[5], Losses("folder")[5], 1e-4);
  EXPECT_TRUE(fs::exists(fs::path(from_gguf) / "tokenizer.json"));
  EXPECT_THAT(Reply({"-m", from_gguf}), HasSubstr("It is red."));
}

TEST_F(FineTuneLoraTest, RefusesWhatCannotBeTrained) {
  const auto refused = [&](std::vector<std::string> more, const std::string& where, std::vector<std::string> parts,
                           int code = 1) {
    std::vector<std::string> arguments = {"finetune", Path("lora.yaml"), "-o", Path("run")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_THAT(RunProgramBinary(arguments), Fails(code, where, parts));
    EXPECT_FALSE(fs::exists(Path("run")));
  };
  refused({"--set", "lora.targets=[dense, qkv]"}, "--set lora.targets", {"qkv", "query_key_value"}, 2);
  refused({"--set", "base_dtype=q3_k"}, "--set base_dtype", {"q4_k"}, 2);
  ASSERT_EQ(RunProgramBinary({"quantize", base_, Path("base.gguf"), "--type", "q8_0"}).exit_code, 0);
  Write("full.yaml", "from: base.gguf\ndata: red\n");
  EXPECT_THAT(RunProgramBinary({"finetune", Path("full.yaml"), "-o", Path("run")}),
              Fails(1, Path("base.gguf"), {"quantized matrices cannot be trained", "lora"}));
}

}  // namespace
}  // namespace stablelm
