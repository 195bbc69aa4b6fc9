// Reads generation settings from a Hugging Face folder: generation_config.json, and the same keys in the config.json of
// old folders. Only keys that are present count, because transformers' defaults are neutral.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "prompt/setting_values.h"
#include "prompt/token_lists.h"

namespace stablelm {

struct GenerationConfig {
  SettingValues values;
  TokenLists token_lists;
  std::vector<int32_t> eos_ids;
  std::vector<std::string> warnings;  // unsupported and unknown keys, bad values
};

inline constexpr const char* kGenerationConfigFile = "generation_config.json";

// Token ids must be below `vocab_size`. A key with a bad value is ignored with a warning that names file, key and
// value; the log-probabilities do not depend on it. Throws Error if `json` is not a JSON object.
GenerationConfig ParseGenerationConfig(std::string_view json, const std::string& where, int64_t vocab_size);
// The generation keys of a config.json. checkpoint/describe/config.h reads its other keys, including the end ids.
GenerationConfig ParseLegacyGenerationKeys(std::string_view config_json, const std::string& where, int64_t vocab_size);

}  // namespace stablelm
