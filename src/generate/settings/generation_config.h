// What the files of a Hugging Face folder say about generating: generation_config.json, and the same keys in the
// config.json of old folders. Only keys that are there count: transformers' defaults are not taken for wishes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "generate/setting_values.h"

namespace stablelm {

// Lists of token ids that are never chosen, as transformers' GenerationConfig has them. No value: the key is not there.
struct TokenLists {
  std::optional<std::vector<std::vector<int32_t>>> bad_words;  // "bad_words_ids": sequences that are never completed
  std::optional<std::vector<int32_t>> suppress;                // "suppress_tokens"
  std::optional<std::vector<int32_t>> begin_suppress;          // "begin_suppress_tokens": not as the first one
  bool Any() const { return bad_words || suppress || begin_suppress; }
};

// Reads the list that `key` names; null leaves it as it is. Returns false when there is no such list. `vocab_size`
// bounds the ids. Throws Error that names `place`.
bool ReadTokenList(std::string_view key, const nlohmann::json& value, const std::string& place, int64_t vocab_size,
                   TokenLists& into);

struct GenerationConfig {
  SettingValues values;
  TokenLists token_lists;
  std::vector<int32_t> eos_ids;
  std::vector<std::string> warnings;  // wishes that this program does not follow, unknown keys
};

inline constexpr const char* kGenerationConfigFile = "generation_config.json";

// `vocab_size` bounds the token ids. Throws Error that names file and key for values that make no sense.
GenerationConfig ParseGenerationConfig(std::string_view json, const std::string& where, int64_t vocab_size);
// The generation keys of a config.json; its other keys, end ids among them, are for checkpoint/describe/config.h.
GenerationConfig ParseLegacyGenerationKeys(std::string_view config_json, const std::string& where, int64_t vocab_size);

}  // namespace stablelm
