// Tests loading, and what is known of a model before: errors by kind, progress, information, memory.
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "checkpoint/huggingface/safetensors.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/rewrite/gguf_metadata.h"
#include "facade/library_testing.h"
#include "generate/generator.h"
#include "golden_paths.h"
#include "model/memory_plan.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Loading : public TunedModel {
 protected:
  // A GGUF file whose matrices are blocks of this type, all of them zero.
  fs::path ZeroFile(DType type) const {
    const auto source = ModelFolder::Open(folder_.string());
    std::vector<DType> types;
    for (const WeightEntry& entry : source->table()) types.push_back(entry.IsMatrix() ? type : DType::kF32);
    const fs::path file = temp_.path() / "zero.gguf";
    fs::remove(file);
    GgufMetadata metadata = GgufMetadataOf(*source);
    SetLicence("apache-2.0", metadata);
    GgufWriter writer(file, metadata, GgufTensors(*source, types));
    for (size_t i = 0; i < types.size(); ++i) writer.WriteAt(i, 0, std::vector<std::byte>(writer.TensorBytes(i)));
    writer.Commit();
    return file;
  }
};

TEST_F(Loading, ErrorsHaveAKind) {
  EXPECT_THAT(PartsOf([] { LanguageModel::Load("no/such/folder"); }),
              IsError(ErrorKind::kNotFound, HasSubstr("no/such/folder")));
  EXPECT_EQ(KindOf([] { LanguageModel::Load("nobody/nothing"); }), ErrorKind::kNotFound);
  EXPECT_EQ(KindOf([] { LanguageModel::Load(""); }), ErrorKind::kNotFound);
  fs::create_symlink("nowhere", temp_.path() / "link");
  EXPECT_EQ(KindOf([&] { LanguageModel::Load((temp_.path() / "link").string()); }), ErrorKind::kNotFound);
  EXPECT_EQ(KindOf([&] { LanguageModel::Inspect((temp_.path() / "x.gguf").string()); }), ErrorKind::kNotFound);
  EXPECT_THAT(PartsOf([&] { LanguageModel::Load(temp_.path().string()); }),
              IsError(ErrorKind::kInvalidModel, temp_.path().string()));
  std::ofstream(temp_.path() / "bad.gguf") << "GGUF?";
  EXPECT_EQ(KindOf([&] { LanguageModel::EstimateMemory((temp_.path() / "bad.gguf").string()); }),
            ErrorKind::kInvalidModel);
  std::ofstream(folder_ / "config.json") << "{";
  EXPECT_THAT(PartsOf([&] { Load(); }), IsError(ErrorKind::kInvalidModel, HasSubstr("config.json"), testing::_));
}

TEST_F(Loading, SettingsAreCheckedBeforeTheWeightsAreRead) {
  for (const int64_t context : {-1, 257}) {
    const LoadSettings settings = {.chat_context = context,
                                   .on_progress = [](const LoadProgress&) { FAIL() << "the weights are read"; }};
    EXPECT_THAT(PartsOf([&] { Load(settings); }),
                IsError(ErrorKind::kUsage, "LoadSettings::chat_context", std::to_string(context)));
  }
  EXPECT_EQ(Load({.chat_context = 256}).info().context_length, 256);  // all of them
}

TEST_F(Loading, QuantizedFiles) {
  const fs::path file = ZeroFile(DType::kQ8_0);
  const ModelInfo info = LanguageModel::Inspect(file.string());
  EXPECT_EQ(info.name, "model");  // of the folder that it was made from
  EXPECT_EQ(info.licence, "apache-2.0");
  EXPECT_THAT(info.stored_types, testing::ElementsAre("Q8_0", "fp32"));
  EXPECT_EQ(info.prompt_template, ChatTemplate::kStableLmTuned);
  const std::vector<int32_t> ids = {1, 2, 3};
  EXPECT_NEAR(LanguageModel::Load(file.string()).Score(ids).logprobs[0],
              -std::log(static_cast<double>(info.vocab_size)), 1e-6);
  EXPECT_THAT(PartsOf([&] { LanguageModel::Load(file.string(), {.weights = WeightType::kQ4_0}); }),
              IsError(ErrorKind::kUsage, HasSubstr("zero.gguf: tensor"), testing::_));
}

// Types that nothing is computed with.
TEST_F(Loading, FilesThatAreDecodedSayIntoWhat) {
  const std::string file = ZeroFile(DType::kQ5_1).string();
  for (const auto& [weights, into] : {std::pair(WeightType::kStored, "into Q8_0"),
                                      {WeightType::kFp16, "into fp16"},
                                      {WeightType::kQ4_0, "into Q4_0"}}) {
    const LanguageModel model = LanguageModel::Load(file, {.weights = weights});
    EXPECT_THAT(model.info().warnings, testing::Contains(testing::AllOf(HasSubstr("Q5_1"), HasSubstr(into))));
    EXPECT_THAT(model.info().stored_types, testing::ElementsAre("Q5_1", "fp32"));
  }
  const uint64_t total = LanguageModel::EstimateMemory(file).total;
  EXPECT_EQ(total, LanguageModel::EstimateMemory(ZeroFile(DType::kQ8_0).string()).total);
}

TEST_F(Loading, RefusesDamagedWeightsWhenAsked) {
  int damaged = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (entry.path().extension() != ".safetensors") continue;
    const SafetensorsFile file(entry.path());
    const StoredTensor* tensor = file.Find("embed_out.weight");
    if (!tensor) continue;
    std::fstream out(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(tensor->offset));
    out.write("\0\x7C", 2);  // fp16: infinity
    ++damaged;
  }
  ASSERT_EQ(damaged, 1);
  EXPECT_THAT(PartsOf([&] { Load({.check_weights = true}); }),
              IsError(ErrorKind::kInvalidModel, HasSubstr("embed_out.weight"), testing::_));
  LanguageModel model = Load();
  // Found when it is computed with: the model is at fault, not the call.
  EXPECT_EQ(KindOf([&] { model.Generate("Hello"); }), ErrorKind::kInvalidModel);
  EXPECT_EQ(KindOf([&] { RequestEngine(model).Generate("Hello").get(); }), ErrorKind::kInvalidModel);
}

TEST_F(Loading, TellsItsProgress) {
  std::vector<LoadProgress> told;
  Load({.threads = 2, .on_progress = [&](const LoadProgress& progress) { told.push_back(progress); }});
  ASSERT_GE(told.size(), 2u);
  EXPECT_LT(told.front().done, told.front().total);
  EXPECT_EQ(told.back().done, told.back().total);
  for (size_t i = 1; i < told.size(); ++i) {
    EXPECT_GT(told[i].done, told[i - 1].done);
    EXPECT_EQ(told[i].total, told[0].total);
  }
}

TEST(LoadingAdapters, AddToTheModel) {
  const std::string base = TestData("golden/lora/base"), adapter = TestData("golden/lora/adapter_after8");
  const std::vector<int32_t> ids = {3, 1, 4, 1, 5, 9};
  const auto scores = [&](std::vector<LoraAdapter> adapters) {
    return LanguageModel::Load(base, {.adapters = std::move(adapters)}).Score(ids).logprobs;
  };
  const auto plain = scores({});
  EXPECT_NE(scores({{.path = adapter}}), plain);
  EXPECT_EQ(scores({{.path = adapter, .scale = 0}}), plain);
  const auto names = [](const MemoryEstimate& memory) {
    std::string text;
    for (const MemoryItem& item : memory.items) text += item.name + "\n";
    return text;
  };
  EXPECT_THAT(names(LanguageModel::EstimateMemory(base, {.adapters = {{.path = adapter}}})), HasSubstr("adapters\n"));
  EXPECT_THAT(names(LanguageModel::EstimateMemory(base)), Not(HasSubstr("adapters")));
  EXPECT_THAT(PartsOf([&] { scores({{.path = base}}); }), IsError(ErrorKind::kInvalidModel, base, testing::_));
  EXPECT_THAT(PartsOf([&] { scores({{.path = adapter, .scale = std::nan("")}}); }),
              IsError(ErrorKind::kUsage, "LoraAdapter::scale", "nan"));
}

TEST_F(Loading, IsCancelledByTheStopToken) {
  std::stop_source stop;
  int calls = 0;
  const LoadSettings settings = {.on_progress =
                                     [&](const LoadProgress&) {
                                       ++calls;
                                       stop.request_stop();
                                     },
                                 .cancel = stop.get_token()};
  EXPECT_EQ(KindOf([&] { Load(settings); }), ErrorKind::kCancelled);
  EXPECT_EQ(calls, 1);
  EXPECT_THROW(Load({.on_progress = [](const LoadProgress&) { throw std::runtime_error("mine"); }}),
               std::runtime_error);
}

TEST_F(Loading, InformationOfAFolder) {
  std::ofstream(folder_ / "README.md") << "---\nlicense: cc-by-nc-sa-4.0\n---\n# Model\n";
  std::ofstream(folder_ / "stablelm_chat.json") << R"({"template": "alpaca", "system": "S"})";
  const auto below = ModelFolder::Open(folder_.string());
  const ModelInfo info = LanguageModel::Inspect(folder_.string());
  EXPECT_EQ(info.path, folder_.string());
  EXPECT_EQ(info.name, "model");
  EXPECT_EQ(LanguageModel::Inspect(folder_.string() + "/").name, "model");
  EXPECT_EQ(info.licence, "cc-by-nc-sa-4.0");
  EXPECT_EQ(info.parameters, below->config().NumParameters());
  EXPECT_THAT(info.stored_types, testing::ElementsAre("fp16"));
  EXPECT_EQ(info.stored_bytes, 2 * static_cast<uint64_t>(info.parameters));
  EXPECT_EQ(info.vocab_size, below->config().vocab_size);
  EXPECT_EQ(info.context_length, 256);
  EXPECT_EQ(info.layers, below->config().n_layers);
  EXPECT_EQ(info.width, below->config().hidden_size);
  EXPECT_EQ(info.heads, below->config().n_heads);
  EXPECT_TRUE(info.has_tokenizer);
  EXPECT_EQ(info.prompt_template, ChatTemplate::kAlpaca);
  EXPECT_EQ(info.system, "S");
  const LanguageModel model = Load();
  EXPECT_EQ(model.info().name, info.name);
  EXPECT_EQ(model.info().parameters, info.parameters);
}

TEST_F(Loading, InformationOfATunedModelWithoutARecord) {
  const ModelInfo info = LanguageModel::Inspect(folder_.string());
  EXPECT_EQ(info.prompt_template, ChatTemplate::kStableLmTuned);
  EXPECT_THAT(info.system, testing::StartsWith("# StableLM Tuned (Alpha version)\n"));
  EXPECT_EQ(info.licence, "");
  const ModelInfo bare = LanguageModel::Inspect(kParallel.string());
  EXPECT_FALSE(bare.has_tokenizer);
  EXPECT_EQ(bare.prompt_template, std::nullopt);
}

// What the files ask for and is not done.
TEST_F(Loading, GivesTheWarningsOfAllFiles) {
  std::ofstream(folder_ / "generation_config.json") << R"({"num_beams": 4})";
  nlohmann::json tokenizer = nlohmann::json::parse(std::ifstream(folder_ / "tokenizer.json"));
  tokenizer["truncation"] = {{"max_length", 5}};
  std::ofstream(folder_ / "tokenizer.json") << tokenizer;
  EXPECT_THAT(Load().info().warnings, testing::IsSupersetOf({HasSubstr("num_beams"), HasSubstr("truncation")}));
}

TEST_F(Loading, EstimatesTheMemory) {
  const auto below = ModelFolder::Open(folder_.string());
  for (const int64_t context : {0, 64}) {
    for (const CacheType cache : {CacheType::kFp32, CacheType::kQ8}) {
      const MemoryEstimate estimate =
          LanguageModel::EstimateMemory(folder_.string(), {.threads = 2, .cache = cache, .chat_context = context});
      const DType kv = cache == CacheType::kFp32 ? DType::kF32 : DType::kI8;
      const MemoryPlan plan =
          PlanMemory(below->config(), PlanWeights(*below, {}), ShapeOfGenerate(context == 0 ? 256 : context, kv, 2));
      EXPECT_EQ(estimate.total, plan.Total());
      ASSERT_EQ(estimate.items.size(), plan.parts.size());
      for (size_t i = 0; i < plan.parts.size(); ++i) {
        EXPECT_EQ(estimate.items[i].name, plan.parts[i].name);
        EXPECT_EQ(estimate.items[i].bytes, plan.parts[i].bytes);
        EXPECT_EQ(estimate.items[i].file_pages, plan.parts[i].file_pages);
      }
      EXPECT_TRUE(estimate.fits);
    }
  }
  const auto total = [&](WeightType type) {
    return LanguageModel::EstimateMemory(folder_.string(), {.weights = type}).total;
  };
  EXPECT_LT(total(WeightType::kQ8_0), total(WeightType::kStored));
  EXPECT_LT(total(WeightType::kStored), total(WeightType::kFp32));
}

TEST_F(Loading, RefusesWhatDoesNotFitIntoMemory) {
  const LoadSettings settings = {.threads = 50'000'000};  // each has its scratch memory
  const MemoryEstimate estimate = LanguageModel::EstimateMemory(folder_.string(), settings);
  EXPECT_FALSE(estimate.fits);
  ASSERT_TRUE(estimate.available);
  EXPECT_GT(estimate.total, *estimate.available);
  EXPECT_NE(estimate.limited_by, "");
  EXPECT_THAT(PartsOf([&] { Load(settings); }), IsError(ErrorKind::kOutOfMemory, "memory", testing::_));
}

}  // namespace
}  // namespace stablelm
