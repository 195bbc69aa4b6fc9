// Recipes of training runs: the shipped ones, defaults, and what is refused.
#include "train/run_recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "error_info.h"
#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {
namespace {

using testing::HasSubstr;
using testing::Not;

class RunRecipeTest : public testing::Test {
 protected:
  RunRecipe Read(const std::string& yaml, const std::vector<std::string>& sets = {}) {
    const std::filesystem::path path = folder_.path() / "mine.yaml";
    std::ofstream(path) << yaml;
    return ReadRunRecipe(path, sets).recipe;
  }
  TempFolder folder_;
};

TEST_F(RunRecipeTest, TheShippedOnesAreRead) {
  const std::filesystem::path recipes =
      std::filesystem::path(TestData()).parent_path().parent_path() / "recipes" / "train";
  // What a recipe leaves to its user.
  const std::vector<std::string> data = {"data=my-chats"}, data_and_model = {"data=my-chats", "from=my-model"};
  const std::map<std::string, std::vector<std::string>> asked = {{"full", data_and_model},  {"lora", data_and_model},
                                                                 {"qlora", data_and_model}, {"scratch", data},
                                                                 {"pretrain-3b", data},     {"pretrain-7b", data}};
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(recipes)) {
    if (entry.path().extension() != ".yaml") continue;
    const auto sets = asked.find(entry.path().stem());
    if (sets != asked.end()) {
      EXPECT_THROW(ReadRunRecipe(entry.path()), Error) << entry.path();
    }
    const LoadedRunRecipe loaded =
        ReadRunRecipe(entry.path(), sets == asked.end() ? std::span<const std::string>() : sets->second);
    EXPECT_EQ(loaded.recipe.name, entry.path().stem());
    ++count;
  }
  EXPECT_GE(count, 7U);
}

TEST_F(RunRecipeTest, TheCardsTables) {
  const std::filesystem::path recipes =
      std::filesystem::path(TestData()).parent_path().parent_path() / "recipes" / "train";
  for (const auto& [name, packs, warmup] :
       {std::tuple("tuned-alpha-3b.yaml", 256U, 50), std::tuple("tuned-alpha-7b.yaml", 128U, 100)}) {
    const RunRecipe recipe = ReadRunRecipe(recipes / name).recipe;
    EXPECT_EQ(recipe.step.packs(), packs);
    EXPECT_EQ(recipe.schedule.warmup, warmup);
    EXPECT_EQ(recipe.schedule.rate, 2e-5);
    EXPECT_EQ(recipe.optimizer.beta1, 0.9);
    EXPECT_EQ(recipe.optimizer.beta2, 0.99);
    EXPECT_EQ(recipe.optimizer.weight_decay, 0.01);
    EXPECT_EQ(recipe.precision, Precision::kF16);
  }
}

TEST_F(RunRecipeTest, DefaultsOfTheCardAreNamed) {
  const std::filesystem::path path = folder_.path() / "mine.yaml";
  std::ofstream(path) << "from: m\ndata: d\noptimizer: {beta1: 0.8}\n";
  const std::string yaml = ReadRunRecipe(path).settings.Yaml(true);
  EXPECT_THAT(yaml, HasSubstr("beta2: 0.99  # card\n"));
  EXPECT_THAT(yaml, HasSubstr("beta1: 0.8\n"));
  EXPECT_THAT(yaml, HasSubstr("  epsilon: 1e-08  # default\n"));
}

TEST_F(RunRecipeTest, TheLossScale) {
  const RunRecipe recipe = Read("from: m\ndata: d\nloss_scale: {initial: 8, min: 2, window: 5, hysteresis: 20}\n");
  EXPECT_EQ(recipe.loss_scale.initial, 8);
  EXPECT_EQ(recipe.loss_scale.min, 2);
  EXPECT_EQ(recipe.loss_scale.window, 5);
  EXPECT_EQ(recipe.loss_scale.hysteresis, 20);
  const ErrorInfo info = InfoOf([&] { Read("from: m\ndata: d\nloss_scale: {initial: 1, min: 2}\n"); });
  EXPECT_THAT(info.what, HasSubstr("below loss_scale.min"));
  EXPECT_THAT(info.where, HasSubstr("line 3, column 23"));
}

TEST_F(RunRecipeTest, DefaultsAreTheCardsOptimizer) {
  const RunRecipe recipe = Read("from: m\ndata: d\n");
  EXPECT_EQ(recipe.name, "mine");
  EXPECT_EQ(recipe.precision, Precision::kF32);
  EXPECT_EQ(recipe.step.packs(), 1U);
  EXPECT_EQ(recipe.schedule.rate, 2e-5);
  EXPECT_EQ(recipe.optimizer.beta2, 0.99);
  EXPECT_EQ(recipe.save_dtype, DType::kF16);
  EXPECT_FALSE(recipe.steps);
}

TEST_F(RunRecipeTest, EveryKeyIsRead) {
  const RunRecipe recipe = Read(
      "name: n\nfrom: init\nshape: 3b\ntokenizer: t\ndata: d\nprecision: fp16\nrecompute: mlp\ntrained: [a, b]\nrows: "
      "2\n"
      "micro_batches: 3\nsteps: 7\noptimizer: {rate: 1e-3, beta1: 0.8, beta2: 0.95, epsilon: 1e-6, "
      "weight_decay: 0.1, clip: 0}\nschedule: {shape: wsd, min_ratio: 0, warmup: 2, decay_steps: 3}\nseed: 9\n"
      "save_dtype: bf16\n",
      {"schedule.warmup=4"});
  EXPECT_EQ(recipe.shape, "3b");
  EXPECT_EQ(recipe.tokenizer, "t");
  EXPECT_EQ(recipe.precision, Precision::kF16);
  EXPECT_EQ(recipe.recompute, Recompute::kMlp);
  EXPECT_THAT(recipe.trained, testing::ElementsAre("a", "b"));
  EXPECT_EQ(recipe.step.packs(), 6U);
  EXPECT_EQ(recipe.steps, 7);
  EXPECT_EQ(recipe.optimizer.clip, 0);
  EXPECT_EQ(recipe.schedule.shape, ScheduleShape::kWsd);
  EXPECT_EQ(recipe.schedule.warmup, 4);
  EXPECT_EQ(recipe.schedule.decay_steps, 3);
  EXPECT_EQ(recipe.seed, 9U);
  EXPECT_EQ(recipe.save_dtype, DType::kBF16);
}

// One of them counts: `steps` of a file, else the one that the command line gives.
TEST_F(RunRecipeTest, EpochsOrSteps) {
  const auto read = [&](const std::string& yaml, const std::vector<std::string>& sets) {
    std::ofstream(folder_.path() / "mine.yaml") << "from: m\ndata: d\n" << yaml;
    return ReadRunRecipe(folder_.path() / "mine.yaml", sets);
  };
  const auto shown = [](const LoadedRunRecipe& loaded, const std::string& key) {
    for (const RecipeSetting& setting : loaded.settings.list()) {
      if (setting.key == key) return setting.value;
    }
    return std::string();
  };
  struct Case {
    std::string yaml;
    std::vector<std::string> sets;
    std::optional<int64_t> steps;
    std::string epochs;
  };
  const std::string none = "(as many as the steps make)";
  for (const Case& one : std::vector<Case>{{"", {}, std::nullopt, "1"},
                                           {"epochs: 3\n", {"steps=7"}, 7, none},
                                           {"epochs: 3\n", {"epochs=null", "steps=7"}, 7, none},
                                           {"epochs: 3\nsteps: 7\n", {}, 7, none},
                                           {"steps: 7\n", {"epochs=2"}, std::nullopt, "2"},
                                           {"steps: 7\n", {"epochs=2", "steps=9"}, 9, none}}) {
    const LoadedRunRecipe loaded = read(one.yaml, one.sets);
    EXPECT_EQ(loaded.recipe.steps, one.steps) << one.yaml;
    EXPECT_EQ(shown(loaded, "epochs"), one.epochs) << one.yaml;
    EXPECT_THAT(loaded.settings.Yaml(true), Not(HasSubstr("steps: null  # command line"))) << one.yaml;
    EXPECT_EQ(loaded.absolute_yaml.find("epochs") == std::string::npos, one.steps.has_value()) << one.yaml;
  }
  EXPECT_THAT(InfoOf([&] { read("", {"epochs=null"}); }).expected, HasSubstr("above 0"));
}

TEST_F(RunRecipeTest, WhatIsWrongIsNamedWithItsPlace) {
  const auto error = [&](const std::string& yaml) { return InfoOf([&] { Read(yaml); }); };
  EXPECT_THAT(error("data: d\n").what, HasSubstr("from"));
  EXPECT_THAT(error("from: init\ndata: d\n").what, HasSubstr("shape"));
  EXPECT_THAT(error("from: m\ndata: d\nprecison: fp32\n").where, HasSubstr("line 3"));
  EXPECT_THAT(error("from: m\ndata: d\nprecison: fp32\n").hint, HasSubstr("precision"));
  EXPECT_THAT(error("from: m\ndata: d\nepochs: 0\n").expected, HasSubstr("above 0"));
  EXPECT_THAT(error("from: m\ndata: d\nname: a/b\n").where, HasSubstr("line 3"));
}

TEST_F(RunRecipeTest, DataOrAModelInPlaceOfTheRecipe) {
  std::filesystem::create_directory(folder_.path() / "data");
  std::filesystem::create_directory(folder_.path() / "model");
  std::ofstream(folder_.path() / "data/manifest.json") << "{}";
  std::ofstream(folder_.path() / "chats.jsonl") << "{}\n{}\n";
  const auto error = [&](const std::string& name) {
    const std::filesystem::path path = folder_.path() / name;
    const ErrorInfo info = InfoOf([&] { ReadRunRecipe(path); });
    EXPECT_EQ(info.where, path.string());
    EXPECT_EQ(info.what, "not a recipe");
    return info;
  };
  EXPECT_THAT(error("data").hint, HasSubstr("--set data=" + (folder_.path() / "data").string()));
  EXPECT_THAT(error("model").hint, HasSubstr("--set from="));
  EXPECT_THAT(error("model.gguf").hint, HasSubstr("--set from="));
  EXPECT_THAT(error("chats.jsonl").hint, HasSubstr("stablelm prepare " + (folder_.path() / "chats.jsonl").string()));
  EXPECT_EQ(error("chats.NDJSON.gz").found, "a file of data");
  std::ofstream(folder_.path() / "recipe.json") << R"({"from": "m", "data": "d"})";
  EXPECT_EQ(ReadRunRecipe(folder_.path() / "recipe.json").recipe.from, "m");  // JSON is YAML
}

TEST_F(RunRecipeTest, LoraHasItsOwnDefaults) {
  EXPECT_FALSE(Read("from: m\ndata: d\n").lora);
  const RunRecipe plain = Read("from: m\ndata: d\nlora: {rank: 8}\nseed: 5\n");
  ASSERT_TRUE(plain.lora);
  EXPECT_EQ(plain.lora->rank, 8);
  EXPECT_EQ(plain.lora->alpha, 16);
  EXPECT_EQ(plain.lora->Scale(), 2);
  EXPECT_EQ(plain.lora->dropout, 0);
  EXPECT_EQ(plain.lora->seed, 5U);
  EXPECT_EQ(plain.lora->targets.size(), 4U);
  EXPECT_EQ(plain.save_dtype, DType::kF32);
  EXPECT_EQ(plain.base_dtype, "");
  const RunRecipe full = Read(
      "from: m\ndata: d\nprecision: bf16\nbase_dtype: q4_k_m\nsave_dtype: bf16\n"
      "lora: {rank: 4, alpha: 6, rslora: true, dropout: 0.1, targets: [dense_4h_to_h, query_key_value]}\n");
  EXPECT_EQ(full.lora->targets, (std::vector{WeightKind::kQkvWeight, WeightKind::kMlpDownWeight}));
  EXPECT_EQ(full.lora->Scale(), 3);
  EXPECT_EQ(full.lora->dropout, 0.1);
  EXPECT_EQ(full.base_dtype, "q4_k_m");
  EXPECT_EQ(full.save_dtype, DType::kBF16);
}

TEST_F(RunRecipeTest, AnOverrideLeavesAdaptersOut) {
  const std::string yaml = "from: m\ndata: d\nlora: {rank: 8}\nbase_dtype: q4_k\n";
  const RunRecipe full = Read(yaml, {"lora=null"});
  EXPECT_FALSE(full.lora);
  EXPECT_EQ(full.base_dtype, "");
  EXPECT_EQ(full.save_dtype, DType::kF16);
  EXPECT_EQ(Read(yaml, {"lora=null", "lora.rank=4"}).lora->rank, 4);
  EXPECT_THAT(InfoOf([&] { Read(yaml, {"lora=null", "base_dtype=q8_0"}); }).what, HasSubstr("only the base below"));
  // Nothing below the key in the file is more likely a slip.
  const ErrorInfo info = InfoOf([&] { Read("from: m\ndata: d\nlora:\nseed: 2\n"); });
  EXPECT_THAT(info.where, HasSubstr("line 3, column 1"));
  EXPECT_EQ(info.found, "nothing (null)");
  EXPECT_THAT(info.hint, HasSubstr("`lora: {}`"));
}

TEST_F(RunRecipeTest, LoraThatMakesNoSenseIsRefused) {
  const auto check = [&](const std::string& rest, const std::string& what) {
    EXPECT_THAT(InfoOf([&] { Read("data: d\n" + rest); }).what, HasSubstr(what)) << rest;
  };
  check("from: m\nlora: {targets: []}\n", "no matrix gets an adapter");
  check("from: m\nlora: {rank: 8}\ntrained: [\"*.layers.0.*\"]\n", "not both");
  check("from: m\nlora: {rank: 8}\nprecision: fp16\n", "adapters are not trained in fp16");
  check("from: init\nshape: 3b\ntokenizer: t\nlora: {rank: 8}\n", "adapters change a model that is there");
  check("from: m\nbase_dtype: q4_k\n", "only the base below adapters");
  const ErrorInfo target = InfoOf([&] { Read("from: m\ndata: d\nlora: {targets: [dense, qkv]}\n"); });
  EXPECT_EQ(target.found, "\"qkv\"");
  EXPECT_THAT(target.expected, HasSubstr("query_key_value"));
  EXPECT_THAT(InfoOf([&] { Read("from: m\ndata: d\nlora: {rank: 0}\n"); }).found, HasSubstr("0"));
  EXPECT_THAT(InfoOf([&] { Read("from: m\ndata: d\nlora: {rank: 8}\nbase_dtype: q3\n"); }).expected, HasSubstr("q4_k"));
}

}  // namespace
}  // namespace stablelm
