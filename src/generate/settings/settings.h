// Resolves the settings of a request, with the source of each.
//
// Precedence, strongest first: options of the command; an explicit preset; the model's chat record; keys in
// generation_config.json; the same keys in config.json; the default preset, which is `card` for tuned models and
// `greedy` for others. No preset limits the number of tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/describe/config.h"
#include "generate/sampling/sampling_options.h"
#include "generate/settings/model_defaults.h"
#include "prompt/presets.h"

namespace stablelm {

struct SettingOptions {
  SettingValues values;          // from options
  std::optional<Preset> preset;  // --preset
};

struct ResolvedSetting {
  std::string name;
  double value = 0;
  std::string from;  // "option", "--preset card", "generation_config.json", "default preset card", ...
};

struct ResolvedSettings {
  std::vector<ResolvedSetting> list;  // settings that any layer sets, in the order of kSettings
  SamplingOptions sampling;
  std::optional<int64_t> max_new_tokens;
};

// AsksForSampling applies to options and chat records. In Hugging Face's files only do_sample counts, as in
// transformers.
ResolvedSettings ResolveSettings(const SettingOptions& options, const ModelDefaults& defaults);

// A token that ends a reply.
struct StopId {
  int32_t id = 0;
  std::vector<std::string> from;  // every source that names it
};
// The union, by id, of the stop tokens from the tokenizer's role tokens (the model card's five), config.json,
// generation_config.json, the chat record, the template in use and the option. `tokenizer` may be null. Throws Error
// for an id of the option that the model does not have.
std::vector<StopId> ResolveStopIds(const ModelConfig& config, const Tokenizer* tokenizer, const ModelDefaults& defaults,
                                   std::optional<PromptTemplate> prompt_template, std::span<const int32_t> option);

}  // namespace stablelm
