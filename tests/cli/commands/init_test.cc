// stablelm init: the folder that it writes, the same bytes for any threads and SIMD target, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "base/sha256.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/tensor_values.h"
#include "ops/convert.h"
#include "ops/random/random_normal.h"
#include "ops/simd.h"
#include "program_error.h"
#include "run_program.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// One tensor is larger than a unit of work, and no size is a multiple of 64.
std::string SmallConfig(int vocabulary = 9001, int layers = 2) {
  return R"({"model_type": "gpt_neox", "vocab_size": )" + std::to_string(vocabulary) +
         R"(, "hidden_size": 120, "num_hidden_layers": )" + std::to_string(layers) +
         R"(, "num_attention_heads": 4, "intermediate_size": 480, "max_position_embeddings": 64, "rotary_pct": 0.2,
             "rotary_emb_base": 10000, "hidden_act": "gelu", "layer_norm_eps": 1e-5, "use_parallel_residual": true,
             "tie_word_embeddings": false, "bos_token_id": 0, "eos_token_id": 0})";
}

// SHA-256 of every file in a folder, in the order of names.
std::string HashOfFolder(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    files[entry.path().filename().string()] = Sha256HexOfFile(entry.path());
  }
  std::string all;
  for (const auto& [name, hash] : files) all += name + " " + hash + "\n";
  return all;
}

class InitTest : public testing::Test {
 protected:
  InitTest() { WriteTextFileAtomically(config_, SmallConfig()); }
  ProgramResult Run(const fs::path& out, std::vector<std::string> more = {}, const std::string& simd = {}) {
    std::vector<std::string> arguments = {"init", "--shape", config_.string(), out.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    ProgramInput input;
    if (!simd.empty()) input.environment["STABLELM_SIMD"] = simd;
    return RunProgramBinary(arguments, input);
  }
  // Entries next to the configuration; no unfinished output may remain.
  size_t NumEntries() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()));
  }

  TempFolder folder_;
  const fs::path config_ = folder_.path() / "shape.json";
};

TEST_F(InitTest, TheFolderMayBeNamedByAnOption) {
  const fs::path out = folder_.path() / "model";
  const ProgramResult result = RunProgramBinary({"init", "-o", out.string(), "--shape", config_.string()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(fs::exists(out / "config.json"));
}

TEST_F(InitTest, MakesAFolderThatLoads) {
  const fs::path out = folder_.path() / "model";
  const ProgramResult result = Run(out, {"--dtype", "fp32", "--seed", "7", "--json", "--max-shard-size", "2MB"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(NumEntries(), 2u);
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json.at("seed"), 7);
  EXPECT_EQ(json.at("dtype"), "fp32");

  const auto model = ModelFolder::Open(out.string());
  EXPECT_EQ(json.at("parameters"), model->config().NumParameters());
  EXPECT_EQ(json.at("bytes"), 4 * model->config().NumParameters());
  const std::vector<WeightEntry> table = WeightTable(model->config());
  for (size_t t = 0; t < table.size(); ++t) {
    const std::vector<float> values = FloatsOf(*model, t);
    const size_t n = values.size();
    if (!table[t].IsMatrix()) {
      const bool norm_weight = table[t].name.ends_with("norm.weight");
      for (const float v : values) ASSERT_EQ(v, norm_weight ? 1.0f : 0.0f) << table[t].name;
      continue;
    }
    // training.md: small_init sqrt(2 / (5 C)), wang_init 2 / (L sqrt C).
    const bool to_residual =
        table[t].name.ends_with("attention.dense.weight") || table[t].name.ends_with("4h_to_h.weight");
    const float stddev = static_cast<float>(to_residual ? 2 / (2 * std::sqrt(120.0)) : std::sqrt(2 / (5 * 120.0)));
    std::vector<float> expected(n);
    FillNormalRef(7, t, 0, stddev, expected.data(), n);
    ASSERT_EQ(values, expected) << table[t].name;
  }
}

TEST_F(InitTest, SameBytesForAnyThreadsAndTarget) {
  for (const char* dtype : {"fp32", "fp16", "bf16"}) {
    std::string first;
    for (const char* threads : {"1", "2", "7"}) {
      for (const std::string& simd : UsableSimdTargets()) {
        const fs::path out = folder_.path() / (std::string(dtype) + threads + simd);
        ASSERT_EQ(Run(out, {"--dtype", dtype, "--threads", threads}, simd).exit_code, 0);
        const std::string hash = HashOfFolder(out);
        if (first.empty()) first = hash;
        EXPECT_EQ(hash, first) << dtype << " " << threads << " threads, " << simd;
      }
    }
    const fs::path other = folder_.path() / (std::string(dtype) + "other");
    ASSERT_EQ(Run(other, {"--dtype", dtype, "--seed", "1"}).exit_code, 0);
    EXPECT_NE(HashOfFolder(other), first);
  }
}

TEST_F(InitTest, CopiesATokenizer) {
  const fs::path tokenizer = folder_.path() / "t.json";
  WriteTextFileAtomically(tokenizer, "{}");
  ASSERT_EQ(Run(folder_.path() / "model", {"--tokenizer", tokenizer.string()}).exit_code, 0);
  EXPECT_EQ(ReadTextFile(folder_.path() / "model" / "tokenizer.json", 100), "{}");
  EXPECT_THAT(Run(folder_.path() / "second", {"--tokenizer", "/no/such/file"}), Fails(1, "/no/such/file"));
  EXPECT_FALSE(fs::exists(folder_.path() / "second"));
}

TEST_F(InitTest, RefusesWithANextStepAndLeavesNothing) {
  const fs::path full = folder_.path() / "full";
  fs::create_directory(full);
  WriteTextFileAtomically(full / "notes", "keep me");
  const size_t before = NumEntries();
  EXPECT_THAT(Run(full), Fails(1, full.string()));
  EXPECT_THAT(Run(folder_.path() / "no" / "parent"), Fails(1, (folder_.path() / "no" / "parent").string()));
  EXPECT_THAT(RunProgramBinary({"init", "--shape", "3b"}), Fails(2, "OUT"));
  EXPECT_THAT(RunProgramBinary({"init", (folder_.path() / "x").string()}), Fails(2, "--shape"));
  EXPECT_THAT(RunProgramBinary({"init", "--shape", "3bb", (folder_.path() / "x").string()}),
              Fails(1, "--shape", {"\"3bb\"", "3b?"}));
  EXPECT_THAT(Run(folder_.path() / "x", {"--dtype", "stored"}), Fails(2, "--dtype", {"\"stored\"", "fp16"}));
  EXPECT_THAT(Run(folder_.path() / "x", {"--max-shard-size", "0"}), Fails(2, "--max-shard-size", {"\"0\""}));
  WriteTextFileAtomically(config_, "{}");
  EXPECT_THAT(Run(folder_.path() / "x"), Fails(1, config_.string(), {"model_type"}));
  EXPECT_EQ(NumEntries(), before);
  EXPECT_EQ(ReadTextFile(full / "notes", 100), "keep me");
}

TEST_F(InitTest, InterruptLeavesNothing) {
  // 120 million values on one thread of scalar code take seconds.
  WriteTextFileAtomically(config_, SmallConfig(500000));
  bool sent = false;
  const ProgramResult result = RunProgramBinary(
      {"init", "--shape", config_.string(), "--threads", "1", "--quiet", (folder_.path() / "model").string()},
      {.environment = {{"STABLELM_SIMD", UsableSimdTargets().back()}}, .while_running = [&](pid_t child) {
         if (!sent && NumEntries() > 1) sent = kill(child, SIGINT) == 0;  // its work folder exists
       }});
  EXPECT_TRUE(sent);
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(NumEntries(), 1u);
}

}  // namespace
}  // namespace stablelm
