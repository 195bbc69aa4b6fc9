#include "generate/settings/settings.h"

#include <map>

#include "base/error.h"

namespace stablelm {
namespace {

SettingLayer WithImpliedSampling(SettingLayer layer) {
  if (const std::optional<bool> draws = AsksForSampling(layer.values)) layer.values["do_sample"] = *draws ? 1 : 0;
  return layer;
}

}  // namespace

ResolvedSettings ResolveSettings(const SettingOptions& options, const ModelDefaults& defaults) {
  std::vector<SettingLayer> layers;
  layers.push_back(WithImpliedSampling({.from = "option", .values = options.values}));
  if (options.preset) {
    layers.push_back({.from = "--preset " + std::string(NameOf(*options.preset)), .values = ValuesOf(*options.preset)});
  }
  for (const SettingLayer& layer : defaults.layers) {
    layers.push_back(layer.from == defaults.record_from ? WithImpliedSampling(layer) : layer);
  }
  const Preset standard = defaults.tuned ? Preset::kCard : Preset::kGreedy;
  layers.push_back({.from = "default preset " + std::string(NameOf(standard)), .values = ValuesOf(standard)});

  ResolvedSettings out;
  SettingValues values;
  for (const SettingSpec& spec : kSettings) {
    for (const SettingLayer& layer : layers) {
      const auto found = layer.values.find(spec.name);
      if (found == layer.values.end()) continue;
      out.list.push_back({.name = std::string(spec.name), .value = found->second, .from = layer.from});
      values[std::string(spec.name)] = found->second;
      break;
    }
  }
  out.sampling.temperature = 1;  // for sampling without a temperature
  for (const auto& [name, field] : SamplingFields()) {
    const auto found = values.find(name);
    if (found == values.end()) continue;
    if (const auto* real = std::get_if<double SamplingOptions::*>(&field)) {
      out.sampling.** real = found->second;
    } else {
      out.sampling.*std::get<int64_t SamplingOptions::*>(field) = static_cast<int64_t>(found->second);
    }
  }
  const auto draws = values.find("do_sample");
  if (draws == values.end() || draws->second == 0) out.sampling.temperature = 0;
  if (values.contains("max_new_tokens")) out.max_new_tokens = static_cast<int64_t>(values["max_new_tokens"]);
  return out;
}

std::vector<StopId> ResolveStopIds(const ModelConfig& config, const Tokenizer* tokenizer, const ModelDefaults& defaults,
                                   std::optional<PromptTemplate> prompt_template, std::span<const int32_t> option) {
  std::map<int32_t, std::vector<std::string>> found;
  const auto add = [&](int32_t id, const std::string& from) {
    std::vector<std::string>& places = found[id];
    if (places.empty() || places.back() != from) places.push_back(from);
  };
  const auto add_tokens = [&](const std::vector<std::string>& spellings, const std::string& from) {
    for (const std::string& spelling : spellings) {
      if (const std::optional<int32_t> id = tokenizer->TokenId(spelling)) add(*id, from);
    }
  };
  for (const int32_t id : option) {
    if (id < 0 || id >= config.vocab_size) {
      throw Error({.where = "`stop_ids`",
                   .what = "token id out of range",
                   .found = std::to_string(id),
                   .expected = "0 to " + std::to_string(config.vocab_size - 1),
                   .hint = "stablelm tokenize shows the ids of a text"});
    }
    add(id, "--stop-id");
  }
  if (tokenizer) {
    if (defaults.record && defaults.record_from != kCardRecordFrom) {
      add_tokens(defaults.record->stop_tokens, defaults.record_from);
    }
    if (defaults.tuned) add_tokens(DefaultStopTokens(PromptTemplate::kStableLmTuned), "role tokens of the tokenizer");
    if (prompt_template) {
      add_tokens(DefaultStopTokens(*prompt_template), "template " + std::string(NameOf(*prompt_template)));
    }
  }
  for (const int32_t id : defaults.generation_config_eos) add(id, "generation_config.json");
  for (const int32_t id : config.eos_ids) add(id, "config.json");
  std::vector<StopId> out;
  for (auto& [id, from] : found) out.push_back({.id = id, .from = std::move(from)});
  return out;
}

}  // namespace stablelm
