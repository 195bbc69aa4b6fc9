#include "generate/settings/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prompt/generation_config.h"
#include "prompt/prompt_testing.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ModelDefaults Tuned(std::vector<SettingLayer> layers = {}) {
  ModelDefaults defaults;
  defaults.tuned = true;
  defaults.layers = std::move(layers);
  return defaults;
}
std::string From(const ResolvedSettings& settings, const std::string& name) {
  for (const ResolvedSetting& one : settings.list) {
    if (one.name == name) return one.from;
  }
  return "";
}
SettingOptions Options(SettingValues values, std::optional<Preset> preset = {}) {
  return {.values = std::move(values), .preset = preset};
}

TEST(SettingsTest, DefaultsAreTheCardsForTunedModelsAndGreedyForOthers) {
  const ResolvedSettings card = ResolveSettings({}, Tuned());
  EXPECT_EQ(card.sampling.temperature, 0.7);
  EXPECT_EQ(card.sampling.top_k, 50);
  EXPECT_EQ(card.sampling.top_p, 1);
  EXPECT_EQ(card.max_new_tokens, std::nullopt);
  EXPECT_EQ(From(card, "temperature"), "default preset card");
  const ResolvedSettings greedy = ResolveSettings({}, {});
  EXPECT_TRUE(greedy.sampling.Greedy());
  EXPECT_EQ(greedy.max_new_tokens, std::nullopt);
}

TEST(SettingsTest, PresetsLimitNoTokens) {
  for (const Preset preset : {Preset::kCard, Preset::kNotebook, Preset::kSpace, Preset::kGreedy}) {
    EXPECT_EQ(ResolveSettings(Options({}, preset), Tuned()).max_new_tokens, std::nullopt) << NameOf(preset);
  }
  const SamplingOptions notebook = ResolveSettings(Options({}, Preset::kNotebook), Tuned()).sampling;
  EXPECT_EQ(notebook.temperature, 0.7);
  EXPECT_EQ(notebook.top_k, 0);
  EXPECT_EQ(notebook.top_p, 0.9);
  const SamplingOptions space = ResolveSettings(Options({}, Preset::kSpace), {}).sampling;
  EXPECT_EQ(space.temperature, 1);
  EXPECT_EQ(space.top_k, 1000);
  EXPECT_EQ(space.top_p, 0.95);
  EXPECT_TRUE(ResolveSettings(Options({}, Preset::kGreedy), Tuned()).sampling.Greedy());
}

// One setting in every source; removes the strongest source one after the other.
TEST(SettingsTest, TheOrderOfPlaces) {
  std::vector<SettingLayer> layers = {{.from = kChatRecordFile, .values = {{"top_k", 3}}},
                                      {.from = "generation_config.json", .values = {{"top_k", 4}}},
                                      {.from = "config.json", .values = {{"top_k", 5}}}};
  SettingOptions options = Options({{"top_k", 1}}, Preset::kSpace);
  const auto check = [&](int64_t k, const std::string& from) {
    const ResolvedSettings settings = ResolveSettings(options, Tuned(layers));
    EXPECT_EQ(settings.sampling.top_k, k);
    EXPECT_EQ(From(settings, "top_k"), from);
  };
  check(1, "option");
  options.values.clear();
  check(1000, "--preset space");
  options.preset.reset();
  for (const auto& [k, from] :
       {std::pair(3, kChatRecordFile), std::pair(4, "generation_config.json"), std::pair(5, "config.json")}) {
    check(k, from);
    layers.erase(layers.begin());
  }
  check(50, "default preset card");
}

TEST(SettingsTest, WhatAsksForDraws) {
  const auto greedy = [](SettingValues options, ModelDefaults defaults) {
    return ResolveSettings(Options(std::move(options)), defaults).sampling.Greedy();
  };
  const ModelDefaults base;
  EXPECT_FALSE(greedy({{"temperature", 0.5}}, base));
  EXPECT_FALSE(greedy({{"top_k", 5}}, base));
  EXPECT_FALSE(greedy({{"top_p", 0.5}}, base));
  EXPECT_TRUE(greedy({{"max_new_tokens", 5}}, base));
  EXPECT_TRUE(greedy({{"temperature", 0}}, Tuned()));
  EXPECT_TRUE(greedy({{"temperature", 0}, {"top_k", 5}}, Tuned()));
  EXPECT_TRUE(greedy({{"do_sample", 0}}, Tuned()));
  // transformers samples only with do_sample; in our chat records a temperature implies sampling.
  ModelDefaults files = base;
  files.layers = {{.from = "generation_config.json", .values = {{"temperature", 0.5}}}};
  EXPECT_TRUE(greedy({}, files));
  files.layers[0].values["do_sample"] = 1;
  EXPECT_FALSE(greedy({}, files));
  for (const char* place : {kChatRecordFile, "stablelm.chat"}) {  // in a folder, in a GGUF file
    files.layers = {{.from = place, .values = {{"temperature", 0.5}}}};
    files.record_from = place;
    EXPECT_FALSE(greedy({}, files)) << place;
  }
  EXPECT_EQ(ResolveSettings(Options({{"top_k", 5}}), base).sampling.temperature, 1);
}

class Folder {
 public:
  Folder() { Write("config.json", R"({"model_type": "gpt_neox"})"); }
  void Write(const char* name, const std::string& text) const { std::ofstream(temp_.path() / name) << text; }
  ModelDefaults Read(const Tokenizer* tokenizer) const {
    ModelConfig config;
    config.vocab_size = 1000;
    return ReadModelDefaults(*ModelSource::Open(temp_.path().string()), config, tokenizer);
  }

 private:
  TempFolder temp_;
};

TEST(ModelDefaultsTest, GathersTheFilesOfAFolder) {
  const Tokenizer tuned = TunedTokenizer(), base = BaseTokenizer();
  const Folder folder;
  EXPECT_EQ(folder.Read(&base).record, std::nullopt);
  EXPECT_EQ(folder.Read(nullptr).record, std::nullopt);
  const ModelDefaults card = folder.Read(&tuned);
  EXPECT_TRUE(card.tuned);
  EXPECT_EQ(card.record, CardChatRecord());
  EXPECT_EQ(card.record_from, "the model card");
  EXPECT_THAT(card.layers, IsEmpty());  // the card's temperature is the default preset, not a layer of the record

  folder.Write("config.json", R"({"model_type": "gpt_neox", "top_k": 5})");
  folder.Write("generation_config.json", R"({"temperature": 0.3, "eos_token_id": 0, "num_beams": 4})");
  folder.Write(kChatRecordFile, R"({"template": "alpaca", "generation": {"top_p": 0.5}})");
  const ModelDefaults all = folder.Read(&base);
  EXPECT_EQ(all.record->prompt_template, PromptTemplate::kAlpaca);
  EXPECT_EQ(all.record_from, kChatRecordFile);
  std::vector<std::string> from;
  for (const SettingLayer& layer : all.layers) from.push_back(layer.from);
  EXPECT_THAT(from, ElementsAre(kChatRecordFile, "generation_config.json", "config.json"));
  EXPECT_THAT(all.warnings, ElementsAre(HasSubstr("num_beams")));

  folder.Write(kChatRecordFile, R"({"template": "none", "stop_tokens": ["<|nobody|>"]})");
  EXPECT_THAT(ErrorText([&] { folder.Read(&base); }), HasSubstr("no such token: found \"<|nobody|>\""));
  folder.Write(kChatRecordFile, "{}");
  EXPECT_THAT(ErrorText([&] { folder.Read(&base); }), HasSubstr(kChatRecordFile));
}

std::vector<int32_t> IdsOf(const std::vector<StopId>& stops) {
  std::vector<int32_t> ids;
  for (const StopId& stop : stops) ids.push_back(stop.id);
  return ids;
}

// A file that names only id 0 does not remove the stop ids of other sources.
TEST(StopIdsTest, AreTheUnionOfAllPlaces) {
  const Tokenizer tuned = TunedTokenizer(), base = BaseTokenizer();
  ModelConfig config;
  config.vocab_size = 1000;
  config.eos_ids = {0};
  ModelDefaults defaults = Tuned();
  defaults.generation_config_eos = {0};
  defaults.record = CardChatRecord();
  defaults.record->stop_tokens = {"<|endoftext|>", "!"};
  defaults.record_from = kChatRecordFile;
  const std::vector<int32_t> option = {900, 724};
  const std::vector<StopId> stops = ResolveStopIds(config, &tuned, defaults, {}, option);
  ASSERT_THAT(IdsOf(stops), ElementsAre(0, 1, 2, 723, 724, 725, 900));
  EXPECT_THAT(stops[0].from,
              ElementsAre(kChatRecordFile, "role tokens of the tokenizer", "generation_config.json", "config.json"));
  EXPECT_THAT(stops[4].from, ElementsAre("--stop-id", "role tokens of the tokenizer"));
  defaults.record_from = "stablelm.chat";  // a GGUF file's
  EXPECT_EQ(ResolveStopIds(config, &tuned, defaults, {}, {})[0].from.front(), "stablelm.chat");
  defaults.record_from = kCardRecordFrom;
  EXPECT_EQ(ResolveStopIds(config, &tuned, defaults, {}, {})[0].from.front(), "role tokens of the tokenizer");

  EXPECT_THAT(IdsOf(ResolveStopIds(config, &base, {}, {}, {})), ElementsAre(0));
  config.eos_ids = {5};
  EXPECT_THAT(IdsOf(ResolveStopIds(config, &base, {}, PromptTemplate::kAlpaca, {})), ElementsAre(0, 5));
  EXPECT_THAT(IdsOf(ResolveStopIds(config, nullptr, {}, {}, std::vector<int32_t>{7})), ElementsAre(5, 7));
  const std::vector<StopId> twice = ResolveStopIds(config, nullptr, {}, {}, std::vector<int32_t>{7, 7});
  EXPECT_THAT(twice.back().from, ElementsAre("--stop-id"));
  const Tokenizer dolly = DollyTokenizer();
  EXPECT_THAT(IdsOf(ResolveStopIds(config, &dolly, {}, PromptTemplate::kDollyV2, {})), ElementsAre(0, 5, 723));
  EXPECT_THAT(ErrorText([&] { ResolveStopIds(config, nullptr, {}, {}, std::vector<int32_t>{1000}); }),
              HasSubstr("`stop_ids`: token id out of range: found 1000, expected 0 to 999"));
}

// Every numeric sampling option can be set by name and reaches the sampler.
TEST(SettingsTest, EveryParameterIsASetting) {
  for (const SamplingField& parameter : SamplingFields()) {
    const std::string name(parameter.name);
    ASSERT_TRUE(FindSetting(name)) << name;
    const double value = FindSetting(name)->max >= 2 ? 2 : FindSetting(name)->max;
    const SamplingOptions options = ResolveSettings(Options({{name, value}, {"do_sample", 1}}), {}).sampling;
    const auto* real = std::get_if<double SamplingOptions::*>(&parameter.field);
    EXPECT_EQ(
        real ? options.**real : static_cast<double>(options.*std::get<int64_t SamplingOptions::*>(parameter.field)),
        value)
        << name;
  }
  // Penalties affect greedy decoding and do not imply sampling.
  const SamplingOptions penalty = ResolveSettings(Options({{"repetition_penalty", 1.5}}), {}).sampling;
  EXPECT_TRUE(penalty.Greedy());
  EXPECT_EQ(penalty.repetition_penalty, 1.5);
  EXPECT_FALSE(ResolveSettings(Options({{"min_p", 0.1}}), {}).sampling.Greedy());
}

}  // namespace
}  // namespace stablelm
