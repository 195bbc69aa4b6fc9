#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "program_error.h"
#include "run_program.h"
#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

const std::string kGoldenFolders = TestData("golden/");

TEST(Inspect, JsonIsOneLineWithEverything) {
  const ProgramResult result =
      RunProgramBinary({"inspect", kGoldenFolders + "bin_sharded_fp16", "--tensors", "--hash", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1);
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json.at("parameters"), 215616);
  EXPECT_EQ(json.at("weight_bytes"), 2 * 215616);
  EXPECT_EQ(json.at("types"), "fp16");
  EXPECT_EQ(json.at("config").at("rotary_dims"), 4);
  EXPECT_EQ(json.at("config").at("parallel_residual"), true);
  EXPECT_EQ(json.at("files").size(), 3u);
  for (const auto& file : json.at("files")) {
    EXPECT_EQ(file.at("sha256"),
              Sha256HexOfFile(kGoldenFolders + "bin_sharded_fp16/" + file.at("name").get<std::string>()));
  }
  ASSERT_EQ(json.at("tensors").size(), 49u);
  size_t ignored = 0;
  for (const auto& tensor : json.at("tensors")) ignored += tensor.at("ignored").get<bool>();
  EXPECT_EQ(ignored, 9u);
  EXPECT_EQ(json.at("tensors")[0].at("name"), "gpt_neox.embed_in.weight");
  EXPECT_EQ(json.at("tensors")[0].at("shape"), (std::vector<int>{512, 64}));
  EXPECT_EQ(json.at("tensors")[0].at("dtype"), "fp16");
  EXPECT_TRUE(json.at("tokenizer").is_null());
  EXPECT_THAT(json.at("warnings")[0], HasSubstr("no tokenizer.json"));
}

TEST(Inspect, TextNamesWhatMatters) {
  const ProgramResult result = RunProgramBinary({"inspect", kGoldenFolders + "sequential", "--tensors"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("sequential residual"), HasSubstr("215,616"),
                    HasSubstr("model-00002-of-00003.safetensors"), HasSubstr("embed_out.weight fp32 [512, 64]")));
  EXPECT_THAT(result.err, HasSubstr("no tokenizer.json"));
}

TEST(Inspect, HubIdInTheCache) {
  const TempFolder cache;
  const fs::path snapshots = cache.path() / "models--stabilityai--tiny" / "snapshots";
  fs::create_directories(snapshots);
  fs::copy(kGoldenFolders + "odd_width", snapshots / "0123456789");
  const ProgramResult result = RunProgramBinary({"inspect", "StabilityAI/tiny", "--json"},
                                                {.environment = {{"HF_HUB_CACHE", cache.path().string()}}});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out).at("config").at("hidden_size"), 60);
}

// What `generate` would say later is said at once.
TEST(Inspect, ReadsWhatGenerateReads) {
  const TempFolder temp;
  const fs::path folder = temp.path() / "model";
  fs::copy(kGoldenFolders + "parallel", folder);
  std::ofstream(folder / "generation_config.json") << R"({"temperature": "hot"})";
  fs::create_directory(folder / "tokenizer.json");
  const std::vector<std::string> generate = {"generate", "-m", folder.string(), "--ids", "1", "--quiet"};
  for (const auto& words : {std::vector<std::string>{"inspect", folder.string()}, generate}) {
    const ProgramResult result = RunProgramBinary(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr("warning: " + (folder / "generation_config.json").string()),
                                  HasSubstr("\"hot\""), HasSubstr("warning: " + (folder / "tokenizer.json").string())));
  }
  // Texts need it.
  EXPECT_THAT(RunProgramBinary({"generate", "-m", folder.string(), "text"}),
              Fails(1, (folder / "tokenizer.json").string(), {"a folder"}));
  fs::remove(folder / "tokenizer.json");
  std::ofstream(folder / "stablelm_chat.json") << "[]";
  EXPECT_EQ(RunProgramBinary({"inspect", folder.string()}).exit_code, 0);  // without role tokens it is not read
}

TEST(Inspect, WrongPaths) {
  EXPECT_THAT(RunProgramBinary({"inspect"}), Fails(2, "MODEL"));
  const ProgramResult none = RunProgramBinary({"inspect", "/nowhere/at/all", "--json"});
  EXPECT_THAT(none, Fails(1, "/nowhere/at/all"));
  EXPECT_EQ(none.out, "");
  const std::string file = kGoldenFolders + "parallel/model.safetensors";
  EXPECT_THAT(RunProgramBinary({"inspect", file}), Fails(1, file));
  EXPECT_THAT(RunProgramBinary({"inspect", kGoldenFolders}), Fails(1, kGoldenFolders, {"config.json"}));
}

}  // namespace
}  // namespace stablelm
