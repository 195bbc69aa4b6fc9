// What the files of a Hugging Face folder say about generating: generation_config.json, and the same keys in the
// config.json of old folders. Only keys that are there count: transformers' defaults ask for nothing.
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
  std::vector<std::string> warnings;  // keys that this program does not follow, unknown keys
};

inline constexpr const char* kGenerationConfigFile = "generation_config.json";

// `vocab_size` bounds the token ids. Throws Error that names file and key for values that make no sense.
GenerationConfig ParseGenerationConfig(std::string_view json, const std::string& where, int64_t vocab_size);
// The generation keys of a config.json; its other keys, end ids among them, are for checkpoint/describe/config.h.
GenerationConfig ParseLegacyGenerationKeys(std::string_view config_json, const std::string& where, int64_t vocab_size);

}  // namespace stablelm
