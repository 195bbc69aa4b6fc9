// Collects what a model's files say about chat and generation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/describe/config.h"
#include "checkpoint/model_source.h"
#include "prompt/chat_record.h"
#include "prompt/generation_config.h"
#include "prompt/setting_values.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

// Settings with their source, for `--show-config`.
struct SettingLayer {
  std::string from;  // "--temperature", "generation_config.json"
  SettingValues values;
};

struct TokenListLayer {
  std::string from;
  TokenLists lists;
};

// Source of the chat record of a tuned model that has no record file.
inline constexpr const char* kCardRecordFrom = "the model card";

struct ModelDefaults {
  bool tuned = false;                                // the tokenizer has the role tokens (HasRoleTokens)
  std::optional<PromptTemplate> template_by_tokens;  // for hints only
  std::optional<ChatRecord> record;                  // the model's file, else the model card's if tuned, else none
  std::string record_from;  // "stablelm_chat.json", "stablelm.chat" in a GGUF file, kCardRecordFrom, ""
  // Strongest first: stablelm_chat.json, generation_config.json, config.json, or the GGUF keys that hold them; only
  // those that exist.
  std::vector<SettingLayer> layers;
  // Strongest first: generation_config.json, config.json. As in transformers, an end id cannot be a bad word.
  std::vector<TokenListLayer> token_lists;
  std::vector<int32_t> generation_config_eos;
  std::vector<std::string> warnings;  // to show to the user
};

// `tokenizer` may be null: then the model has no chat record. Throws Error for malformed files, and for a chat record
// whose stop tokens the tokenizer does not have.
ModelDefaults ReadModelDefaults(const ModelSource& source, const ModelConfig& config, const Tokenizer* tokenizer);

// Puts the chat record in the folder of an adapter, if it has one, in the place of the model's: the adapter was tuned
// with it. Throws Error as above.
void TakeChatRecordOf(const std::filesystem::path& adapter, const Tokenizer* tokenizer, ModelDefaults& defaults);

}  // namespace stablelm
