// stablelm fit: the parts, their sum, and that generate refuses with the same sizes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden_command.h"
#include "program_error.h"

namespace stablelm {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

Json Fit(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "fit");
  arguments.emplace_back("--json");
  const ProgramResult result = RunProgramBinary(arguments);
  EXPECT_TRUE(result.exit_code == 0 || result.exit_code == 1) << result.err;
  Json fit = Json::parse(result.out);
  EXPECT_EQ(result.exit_code, fit.at("fits") ? 0 : 1);
  return fit;
}
uint64_t Part(const Json& fit, const std::string& begin) {
  for (const Json& part : fit.at("parts")) {
    if (part.at("name").get<std::string>().starts_with(begin)) return part.at("bytes");
  }
  ADD_FAILURE() << "no part " << begin << " in " << fit;
  return 0;
}

TEST(FitCommand, PartsOfTheReleasedShapes) {
  const Json fit = Fit({"--shape", "3b", "--dtype", "fp16", "--kv", "fp16", "--context", "4096"});
  uint64_t sum = 0;
  for (const Json& part : fit.at("parts")) sum += part.at("bytes").get<uint64_t>();
  EXPECT_EQ(fit.at("total_bytes"), sum);
  EXPECT_EQ(fit.at("anonymous_bytes"), sum - Part(fit, "weights (embedding"));
  EXPECT_EQ(fit.at("fits"), sum <= fit.at("available_bytes").get<uint64_t>());
  // 16 layers x 2 x 4,096 x 2 bytes per token, plus a gap of 4 KiB per page (model/kv_cache.h)
  const uint64_t kApart = 4096 / 32 * 4096;
  EXPECT_EQ(Part(fit, "key-value cache"), uint64_t{4096} * 16 * 2 * 4096 * 2 + kApart);
  // 1 byte per value, and 4 for each of 32 heads
  EXPECT_EQ(Part(Fit({"--shape", "3b", "--kv", "q8", "--context", "4096"}), "key-value cache (q8)"),
            uint64_t{4096} * 16 * 2 * (4096 + 32 * 4) + kApart);
  // 3,637,321,728 parameters: fp16 matrices, fp32 vectors
  const uint64_t vectors = 16 * 13 * 4096 + 2 * 4096;
  const uint64_t embedding = uint64_t{50688} * 4096;
  EXPECT_EQ(Part(fit, "weights (embedding"), embedding * 2);
  EXPECT_EQ(Part(fit, "weights (packed"), (3637321728 - vectors - embedding) * 2 + vectors * 4);
  EXPECT_EQ(Part(Fit({"--shape", "3b", "--context", "4096", "--batch", "3"}), "key-value cache"),
            3 * (uint64_t{4096} * 16 * 2 * 4096 * 4 + kApart));
  EXPECT_GT(Part(Fit({"--shape", "7b"}), "weights (packed"), uint64_t{15} * 1000 * 1000 * 1000);
  EXPECT_GT(Part(Fit({"--shape", "3b", "--for", "score"}), "logits"), 100u * Part(Fit({"--shape", "3b"}), "logits"));
}

TEST(FitCommand, FoldersArePlannedByWhatIsInThem) {
  const Json stored = Fit({"-m", kParallel}), half = Fit({"-m", kParallel, "--dtype", "fp16"});
  // Matrices and embedding halve, vectors do not. The fp16 embedding is a copy, so it counts as packed.
  const uint64_t vectors = 4 * (3 * 13 * 64 + 2 * 64);
  EXPECT_EQ(2 * (Part(half, "weights (packed") - vectors),
            Part(stored, "weights (packed") - vectors + Part(stored, "weights (embedding"));
  const ProgramResult table = RunProgramBinary({"fit", "-m", kParallel});
  EXPECT_EQ(table.exit_code, 0);
  EXPECT_THAT(table.out, testing::StartsWith("fits: "));
}

// With --shape, --dtype is the stored type: --quantize goes with it, and the batch stays where it can.
TEST(FitCommand, WhatWouldFitIsAccepted) {
  const Json quantized = Fit({"--shape", "7b", "--dtype", "fp32", "--quantize", "Q4_K_M"});
  EXPECT_EQ(Part(quantized, "weights (packed"),
            Part(Fit({"--shape", "7b", "--quantize", "Q4_K_M"}), "weights (packed"));
  const uint64_t available = quantized.at("available_bytes");
  const auto total = [](int64_t batch, bool small) {
    std::vector<std::string> words = {"--shape", "7b", "--dtype", "fp32", "--batch", std::to_string(batch)};
    if (small) words.insert(words.end(), {"--quantize", "Q4_K_M", "--kv", "q8"});
    return Fit(words).at("total_bytes").get<uint64_t>();
  };
  // The largest batch of powers of two for which quantized weights and cache suffice.
  int64_t batch = 1;
  while (batch < 4096 && total(2 * batch, true) <= available - available / 8) batch *= 2;
  if (total(batch, true) > available || total(batch, false) <= available) GTEST_SKIP() << "no such batch here";
  const Json fit = Fit({"--shape", "7b", "--dtype", "fp32", "--batch", std::to_string(batch)});
  ASSERT_FALSE(fit.at("would_fit").empty());
  for (const Json& cure : fit.at("would_fit")) {
    std::vector<std::string> words = {"--shape", "7b", "--dtype", "fp32", "--batch", std::to_string(batch)};
    std::istringstream options(cure.at("options").get<std::string>());
    for (std::string word; options >> word;) words.push_back(word);
    EXPECT_EQ(Fit(words).at("total_bytes"), cure.at("total_bytes")) << cure;
    if (fit.at("would_fit").size() == 1 && words.size() > 8) {
      EXPECT_EQ(cure.at("options").get<std::string>().find("--batch"), std::string::npos) << cure;
    }
  }
}

// Adapters over quantized weights that keep little may fit where nothing else does.
TEST(FitCommand, WhatWouldTrainIsAccepted) {
  const std::vector<std::string> words = {"--shape", "7b", "--for", "finetune"};
  const auto with = [&](std::initializer_list<std::string> options) {
    std::vector<std::string> all = words;
    all.insert(all.end(), options);
    return Fit(all);
  };
  const Json plain = with({}), least = with({"--rank", "16", "--quantize", "Q4_K", "--recompute", "layer"});
  if (plain.at("fits") || !least.at("fits")) GTEST_SKIP() << "this machine has room for more or for less";
  ASSERT_FALSE(plain.at("would_fit").empty());
  for (const Json& cure : plain.at("would_fit")) {
    std::vector<std::string> all = words;
    std::istringstream options(cure.at("options").get<std::string>());
    for (std::string word; options >> word;) all.push_back(word);
    EXPECT_EQ(Fit(all).at("total_bytes"), cure.at("total_bytes")) << cure;
  }
}

TEST(FitCommand, RefusesWrongUsage) {
  EXPECT_THAT(RunProgramBinary({"fit"}), Fails(2, "fit", {"-m", "--shape"}));
  EXPECT_THAT(RunProgramBinary({"fit", "-m", kParallel, "--shape", "3b"}), Fails(2, "fit", {"-m", "--shape", "twice"}));
  EXPECT_THAT(RunProgramBinary({"fit", "--shape", "13b"}), Fails(2, "--shape", {"\"13b\"", "3b?"}));
  EXPECT_THAT(RunProgramBinary({"fit", "3b"}), Fails(2, "3b", {"no such folder", "stablelm fit --shape 3b"}));
  EXPECT_THAT(RunProgramBinary({"fit", "-m", kParallel, "--context", "129"}),
              Fails(1, "--context", {"found 129", "128"}));
}

// Small weights, 400 layers and a context of a million tokens: a cache larger than most machines' memory.
TEST(FitCommand, GenerateAndScoreRefuseByTheSameNumbers) {
  const TempFolder temp;
  const std::string folder = (temp.path() / "model").string(), shape = (temp.path() / "config.json").string();
  Json config = Json::parse(std::ifstream(kParallel + "/config.json"));
  config["max_position_embeddings"] = 1 << 20;
  config["num_hidden_layers"] = 400;
  WriteFile(shape, config.dump());
  const ProgramResult init = RunProgramBinary({"init", "--shape", shape, "--dtype", "fp16", "--seed", "1", folder});
  ASSERT_EQ(init.exit_code, 0) << init.err;
  const Json fit = Fit({"-m", folder});
  const uint64_t cache = (uint64_t{400} * 2 * 64 * 4 << 20) + ((1 << 20) / 32 * 4096);  // 4 KiB gap per page
  EXPECT_EQ(Part(fit, "key-value cache"), cache);
  if (fit.at("fits")) GTEST_SKIP() << "this machine has room for 215 GB of cache";
  const ProgramResult result = RunProgramBinary({"generate", "-m", folder, "--ids", "1"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("this run does not fit"));
  EXPECT_THAT(result.err, HasSubstr("key-value cache (fp32) 215 GB"));
  EXPECT_EQ(RunProgramBinary({"generate", "-m", folder, "--ids", "1", "--max-new-tokens", "2"}).exit_code, 0);
  // What would fit does.
  ASSERT_FALSE(fit.at("would_fit").empty());
  for (const Json& cure : fit.at("would_fit")) {
    std::vector<std::string> words = {"-m", folder};
    std::istringstream options(cure.at("options").get<std::string>());
    for (std::string word; options >> word;) words.push_back(word);
    const Json cured = Fit(words);
    EXPECT_LE(cured.at("total_bytes"), fit.at("available_bytes")) << cure;
    EXPECT_EQ(cured.at("total_bytes"), cure.at("total_bytes"));
  }
  const ProgramResult text = RunProgramBinary({"fit", folder});
  EXPECT_EQ(text.exit_code, 1);
  EXPECT_THAT(text.out, testing::StartsWith("does not fit: "));
  EXPECT_THAT(text.out, HasSubstr("would fit with --context "));
}

}  // namespace
}  // namespace stablelm
