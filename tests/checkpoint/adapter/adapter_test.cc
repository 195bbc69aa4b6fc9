// Adapters in PEFT's layout: what is read, and a catalogue of broken ones, each refused with its place and value.
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/new_folder.h"
#include "checkpoint/adapter/adapter_folder.h"
#include "checkpoint/adapter/adapter_writer.h"
#include "checkpoint/huggingface/safetensors.h"
#include "checkpoint/tiny_model.h"
#include "error_info.h"
#include "ops/convert.h"
#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Json = nlohmann::json;

constexpr int64_t kRank = 3;

// The adapter of TinyConfig()'s model that a test writes and then damages.
struct TinyAdapter {
  Json config = {{"peft_type", "LORA"},
                 {"r", kRank},
                 {"lora_alpha", 6},
                 {"bias", "none"},
                 {"target_modules", {"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"}}};
  std::vector<TinyTensor> tensors;

  explicit TinyAdapter(DType type = DType::kF32, const std::function<bool(const WeightEntry&)>& keep = {}) {
    for (const WeightEntry& entry : WeightTable(TinyConfig())) {
      if (!entry.IsMatrix() || !IsAdaptable(entry.kind) || (keep && !keep(entry))) continue;
      const AdapterTensorNames names = AdapterNamesOf(entry);
      tensors.push_back({names.a, type, {kRank, entry.shape[1]}, {}});
      tensors.push_back({names.b, type, {entry.shape[0], kRank}, {}});
    }
  }
  TinyTensor& Tensor(std::string_view end) {
    return *std::ranges::find_if(tensors, [&](const TinyTensor& t) { return t.name.ends_with(end); });
  }
  void Write(const fs::path& folder) const {
    fs::create_directories(folder);
    WriteTextFileAtomically(folder / "adapter_config.json", config.dump());
    WriteTinySafetensors(folder / "adapter_model.safetensors", tensors);
  }
};

class AdapterFiles : public testing::Test {
 protected:
  std::vector<AdaptedMatrix> Match(const TinyAdapter& adapter) {
    adapter.Write(folder_);
    opened_ = AdapterFolder::Open(folder_);
    warnings_.clear();
    return opened_->Match(TinyConfig(), &warnings_);
  }
  ErrorInfo Refusal(const TinyAdapter& adapter) {
    return InfoOf([&] { Match(adapter); });
  }
  // The refusal of a setting.
  ErrorInfo RefusalOf(const std::string& key, const Json& value) {
    TinyAdapter adapter;
    adapter.config[key] = value;
    return Refusal(adapter);
  }
  std::string Key(const std::string& key) const {
    return (folder_ / "adapter_config.json").string() + ": \"" + key + "\"";
  }
  std::string Weights() const { return (folder_ / "adapter_model.safetensors").string(); }

  TempFolder temp_;
  const fs::path folder_ = temp_.path() / "adapter";
  std::shared_ptr<const AdapterFolder> opened_;
  std::vector<std::string> warnings_;
};

TEST_F(AdapterFiles, OfEveryFloatTypeAreRead) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64}) {
    const auto matrices = Match(TinyAdapter(type));
    ASSERT_EQ(matrices.size(), 8u);
    EXPECT_EQ(matrices[0].entry.name, "gpt_neox.layers.0.attention.query_key_value.weight");
    EXPECT_EQ(matrices[0].a->shape, Shape({kRank, 8}));
    EXPECT_EQ(matrices[0].b->shape, Shape({24, kRank}));
    EXPECT_EQ(*matrices[0].b->dtype, type);
    EXPECT_EQ(opened_->config().Scale(), 2);
    EXPECT_EQ(opened_->NumParameters(), 2 * static_cast<uint64_t>(kRank * (8 + 24 + 8 + 8 + 8 + 12 + 12 + 8)));
    EXPECT_TRUE(warnings_.empty());
  }
}

TEST_F(AdapterFiles, ThatPeftWroteAreRead) {
  const auto opened = AdapterFolder::Open(TestData("golden/lora/adapter_start"));
  EXPECT_EQ(opened->config().rank, 4);
  EXPECT_EQ(opened->config().alpha, 8);
  ModelConfig model = TinyConfig();
  model.hidden_size = 32, model.intermediate_size = 128, model.n_heads = 4;
  EXPECT_EQ(opened->Match(model).size(), 8u);
}

TEST_F(AdapterFiles, AreFoundByTheFilesOfTheFolder) {
  TinyAdapter().Write(folder_);
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
    EXPECT_EQ(AdapterFolder::Open(folder_ / name)->path(), folder_);
  }
}

TEST_F(AdapterFiles, ScaleIsByRankOrItsRoot) {
  TinyAdapter adapter;
  adapter.config["use_rslora"] = true;
  Match(adapter);
  EXPECT_DOUBLE_EQ(opened_->config().Scale(), 6 / std::sqrt(3.0));
}

// Which modules target_modules names, as PEFT matches them.
TEST_F(AdapterFiles, TargetsAreWholeNamesEndsOrPatterns) {
  struct Case {
    Json targets;
    std::function<bool(const WeightEntry&)> keep;
    Json excluded = nullptr;
  };
  using K = WeightKind;
  const Case kCases[] = {
      {{"dense"}, [](const WeightEntry& e) { return e.kind == K::kAttnOutWeight; }},
      {{"mlp.dense_h_to_4h", "dense"},
       [](const WeightEntry& e) { return e.kind == K::kMlpUpWeight || e.kind == K::kAttnOutWeight; }},
      {{"gpt_neox.layers.1.attention.query_key_value"},
       [](const WeightEntry& e) { return e.kind == K::kQkvWeight && e.layer == 1; }},
      {"all-linear", [](const WeightEntry&) { return true; }},
      {R"(.*\.layers\.[01]\.mlp\.dense_(?:h_to_4h|4h_to_h))",
       [](const WeightEntry& e) { return e.kind == K::kMlpUpWeight || e.kind == K::kMlpDownWeight; }},
      {R"(gpt_neox\.layers\.\d\.attention\.dense)", [](const WeightEntry& e) { return e.kind == K::kAttnOutWeight; }},
      {{"query_key_value", "dense"}, [](const WeightEntry& e) { return e.kind == K::kQkvWeight; }, {"attention.dense"}},
      {"all-linear", [](const WeightEntry& e) { return e.layer == 0; }, R"(.*layers\.1\..*)"},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.targets.dump());
    TinyAdapter adapter(DType::kF32, c.keep);
    adapter.config["target_modules"] = c.targets;
    adapter.config["exclude_modules"] = c.excluded;
    EXPECT_EQ(Match(adapter).size(), adapter.tensors.size() / 2);
  }
}

TEST_F(AdapterFiles, ANameThatTheModelDoesNotHaveIsAWarning) {
  TinyAdapter adapter;
  adapter.config["target_modules"].push_back("q_proj");
  EXPECT_EQ(Match(adapter).size(), 8u);
  EXPECT_THAT(warnings_, testing::ElementsAre(HasSubstr("q_proj")));
}

TEST_F(AdapterFiles, WithOtherArithmeticAreRefusedByTheSetting) {
  for (const char* key : {"use_dora", "use_qalora", "use_bdlora", "fan_in_fan_out", "lora_bias"}) {
    EXPECT_THAT(RefusalOf(key, true), Names(Key(key), "true"));
    TinyAdapter off;
    off.config[key] = false;
    EXPECT_EQ(Match(off).size(), 8u);
  }
  EXPECT_THAT(RefusalOf("alpha_pattern", {{"dense", 4}}), Names(Key("alpha_pattern"), R"({"dense":4})"));
  EXPECT_THAT(RefusalOf("rank_pattern", {{"dense", 4}}), Names(Key("rank_pattern"), R"({"dense":4})"));
  EXPECT_THAT(RefusalOf("modules_to_save", {"embed_out"}), Names(Key("modules_to_save"), R"(["embed_out"])"));
  EXPECT_THAT(RefusalOf("layers_to_transform", {0}), Names(Key("layers_to_transform"), "[0]"));
  EXPECT_THAT(RefusalOf("layers_to_transform", 0), Names(Key("layers_to_transform"), "0"));
  EXPECT_THAT(RefusalOf("layer_replication", {{0, 2}}), Names(Key("layer_replication"), "[[0,2]]"));
  EXPECT_THAT(RefusalOf("bias", "lora_only"), Names(Key("bias"), "\"lora_only\""));
  EXPECT_THAT(RefusalOf("trainable_token_indices", {5}), Names(Key("trainable_token_indices"), "[5]"));
  EXPECT_THAT(RefusalOf("target_parameters", {"w"}), Names(Key("target_parameters"), "[\"w\"]"));
  EXPECT_THAT(RefusalOf("init_lora_weights", "pissa"), Names(Key("init_lora_weights"), "\"pissa\""));
  EXPECT_THAT(RefusalOf("peft_type", "IA3"), Names(Key("peft_type"), "\"IA3\""));
}

TEST_F(AdapterFiles, WithAnUnknownSettingAreRefusedUnlessItIsOff) {
  EXPECT_THAT(RefusalOf("use_newlora", true), Names(Key("use_newlora"), "true"));
  for (const Json& off : {Json(nullptr), Json(false), Json::object(), Json::array(), Json("")}) {
    TinyAdapter adapter;
    adapter.config["use_newlora"] = off;
    EXPECT_EQ(Match(adapter).size(), 8u);
  }
}

TEST_F(AdapterFiles, WithABadSettingAreRefused) {
  for (const Json& bad : {Json(0), Json(-1), Json(2049), Json(1.5), Json("8"), Json(true)}) {
    EXPECT_THAT(RefusalOf("r", bad), Names(Key("r"), bad.dump()));
  }
  for (const Json& bad : {Json("8"), Json(true), Json(1e300)}) {
    EXPECT_THAT(RefusalOf("lora_alpha", bad).where, Key("lora_alpha"));
  }
  EXPECT_THAT(RefusalOf("use_rslora", 1), Names(Key("use_rslora"), "1"));
  for (const Json& bad : {Json::array(), Json(5), Json({5}), Json({""})}) {
    EXPECT_THAT(RefusalOf("target_modules", bad).where, Key("target_modules"));
  }
  for (const char* key : {"r", "lora_alpha", "target_modules", "peft_type"}) {
    TinyAdapter adapter;
    adapter.config.erase(key);
    EXPECT_THAT(Refusal(adapter), Names(Key(key), ""));
  }
  TinyAdapter list;
  list.config = Json::array();
  EXPECT_EQ(Refusal(list).found, "[]");
}

TEST_F(AdapterFiles, PatternsThatAreNotPlainAreRefused) {
  for (const std::string bad :
       {"(dense", "(?i)dense", "(?=a)dense", "a{1000}", "(a)\\1", "[[:alpha:]]+", "dense\\Z", "[]a]", "*", "dense\\"}) {
    EXPECT_THAT(RefusalOf("target_modules", bad).where, Key("target_modules")) << bad;
  }
  EXPECT_THAT(RefusalOf("target_modules", std::string(501, 'a')).where, Key("target_modules"));
  // A pattern that takes other algorithms exponential time.
  EXPECT_THAT(RefusalOf("target_modules", "(((.*)*)*)*x").where, Key("target_modules"));
}

TEST_F(AdapterFiles, OfAnotherBaseAreRefused) {
  TinyAdapter adapter;
  adapter.Write(folder_);
  const auto opened = AdapterFolder::Open(folder_);
  ModelConfig wide = TinyConfig();
  wide.hidden_size = 16;
  EXPECT_THAT(InfoOf([&] { opened->Match(wide); }),
              Names(HasSubstr("layers.0.attention.query_key_value.lora_A.weight"), "[3, 8]"));
  ModelConfig deep = TinyConfig();
  deep.n_layers = 3;
  EXPECT_THAT(InfoOf([&] { opened->Match(deep); }).expected, HasSubstr("layers.2.attention.query_key_value.lora_A"));
  ModelConfig flat = TinyConfig();
  flat.n_layers = 1;
  EXPECT_THAT(InfoOf([&] { opened->Match(flat); }), Names(Weights(), HasSubstr("layers.1.")));
}

TEST_F(AdapterFiles, WithWrongTensorsAreRefused) {
  {
    TinyAdapter missing;
    missing.tensors.pop_back();
    EXPECT_THAT(Refusal(missing), Names(Weights(), ""));
  }
  {
    TinyAdapter rank;
    rank.Tensor("layers.1.mlp.dense_4h_to_h.lora_B.weight").shape = {8, 2};
    EXPECT_THAT(Refusal(rank), Names(HasSubstr("layers.1.mlp.dense_4h_to_h.lora_B.weight"), "[8, 2]"));
  }
  {
    TinyAdapter more;
    more.tensors.push_back({"base_model.model.gpt_neox.embed_in.lora_embedding_A", DType::kF32, {3, 10}, {}});
    EXPECT_THAT(Refusal(more), Names(Weights(), HasSubstr("lora_embedding_A")));
  }
  {
    TinyAdapter magnitude;
    magnitude.tensors.push_back(
        {"base_model.model.gpt_neox.layers.0.attention.dense.lora_magnitude_vector.weight", DType::kF32, {8}, {}});
    EXPECT_THAT(Refusal(magnitude), Names(Weights(), HasSubstr("lora_magnitude_vector")));
  }
  {
    TinyAdapter not_named;  // tensors of modules that target_modules does not name
    not_named.config["target_modules"] = {"query_key_value"};
    EXPECT_THAT(Refusal(not_named), Names(Weights(), HasSubstr("attention.dense.lora_A")));
  }
  {
    TinyAdapter output;
    output.config["target_modules"].push_back("embed_out");
    EXPECT_THAT(Refusal(output), Names(Key("target_modules"), "\"embed_out\""));
  }
  {
    TinyAdapter other;
    other.config["target_modules"] = {"q_proj", "v_proj"};
    EXPECT_THAT(Refusal(other), Names(Key("target_modules"), "q_proj, v_proj"));
  }
}

TEST_F(AdapterFiles, DamagedFilesAreRefused) {
  TinyAdapter().Write(folder_);
  const std::string whole = ReadTextFile(folder_ / "adapter_model.safetensors", 1 << 20);
  WriteTextFileAtomically(folder_ / "adapter_model.safetensors", whole.substr(0, whole.size() - 1));
  EXPECT_THAT(InfoOf([&] { AdapterFolder::Open(folder_); }).where, HasSubstr(Weights()));
  WriteTextFileAtomically(folder_ / "adapter_model.safetensors", whole);
  WriteTextFileAtomically(folder_ / "adapter_config.json", "{\"r\": 1, \"r\": 2}");
  EXPECT_THAT(InfoOf([&] { AdapterFolder::Open(folder_); }).where, HasSubstr("adapter_config.json"));
}

TEST_F(AdapterFiles, WhatIsNoAdapterIsRefused) {
  EXPECT_THAT(InfoOf([&] { AdapterFolder::Open(folder_); }), Names(folder_.string()));
  EXPECT_THAT(InfoOf([] { AdapterFolder::Open(TestData("golden/parallel")); }),
              Names(TestData("golden/parallel"), "the folder of a whole model"));
  TinyAdapter().Write(folder_);
  fs::remove(folder_ / "adapter_model.safetensors");
  EXPECT_THAT(InfoOf([&] { AdapterFolder::Open(folder_); }), Names(folder_.string()));
}

// Writes an adapter of small integers, every element another one, and reads it back; B's QKV rows come in GGUF's order.
TEST_F(AdapterFiles, AreWrittenAsTheyAreRead) {
  const ModelConfig model = TinyConfig();
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    std::vector<MatrixToAdapt> matrices;
    for (const WeightEntry& entry : WeightTable(model)) {
      if (!entry.IsMatrix() || entry.kind != WeightKind::kQkvWeight) continue;
      matrices.push_back({entry,
                          [](int64_t row, float* out) {
                            for (int64_t k = 0; k < 8; ++k) out[k] = static_cast<float>(row * 8 + k);
                          },
                          [](int64_t row, float* out) {
                            for (int64_t j = 0; j < kRank; ++j) out[j] = static_cast<float>(row * kRank + j);
                          }});
    }
    AdapterConfig config = {.rank = kRank, .alpha = 12, .rslora = true, .base = "some/base"};
    config.targets.names = {"query_key_value"};
    const fs::path folder = temp_.path() / std::string(NameOf(type));
    fs::create_directory(folder);
    WriteAdapter(
        folder,
        {.model = model, .config = config, .matrices = matrices, .type = type, .qkv_order = QkvOrder::kStacked});
    const auto opened = AdapterFolder::Open(folder);
    EXPECT_EQ(opened->config().rank, kRank);
    EXPECT_EQ(opened->config().alpha, 12);
    EXPECT_TRUE(opened->config().rslora);
    EXPECT_EQ(opened->config().base, "some/base");
    ASSERT_EQ(opened->Match(model).size(), 2u);
    const StoredTensor& b = *opened->Match(model)[1].b;
    EXPECT_EQ(*b.dtype, type);
    std::vector<float> values(24 * kRank);
    ConvertValues(opened->file().map->bytes().data() + b.offset, type, reinterpret_cast<std::byte*>(values.data()),
                  DType::kF32, values.size());
    // Per head [H, 3, D] from stacked [3, H, D]: H = 2, D = 4.
    for (int64_t row = 0; row < 24; ++row) {
      const int64_t head = row / 12, part = row / 4 % 3, d = row % 4;
      EXPECT_EQ(values[static_cast<size_t>(row * kRank)], static_cast<float>((part * 8 + head * 4 + d) * kRank));
    }
  }
}

TEST_F(AdapterFiles, ValuesThatDoNotFitAreNotWritten) {
  const auto entry = WeightTable(TinyConfig())[5];
  ASSERT_EQ(entry.kind, WeightKind::kQkvWeight);
  const auto large = [](int64_t, float* out) { *out = 1e6f; };
  const std::vector<MatrixToAdapt> matrices = {{entry, large, large}};
  AdapterConfig config = {.rank = 1};
  config.targets.names = {"query_key_value"};
  fs::create_directory(folder_);
  EXPECT_THAT(InfoOf([&] {
                WriteAdapter(folder_,
                             {.model = TinyConfig(), .config = config, .matrices = matrices, .type = DType::kF16});
              }).where,
              HasSubstr("lora_A"));
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace stablelm
