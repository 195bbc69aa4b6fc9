// What a model's own files say about talking to it and about generating, gathered.
#pragma once

#include <cstdint>
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

// Settings with the place where they were found, for `--show-config`.
struct SettingLayer {
  std::string from;  // "--temperature", "generation_config.json"
  SettingValues values;
};

struct TokenListLayer {
  std::string from;
  TokenLists lists;
};

// Where the record of a tuned model without one of its own comes from.
inline constexpr const char* kCardRecordFrom = "the model card";

struct ModelDefaults {
  bool tuned = false;                // the tokenizer has the role tokens (HasRoleTokens)
  std::optional<ChatRecord> record;  // the model's own, else the card's for a tuned model, else none
  std::string record_from;           // "stablelm_chat.json", "stablelm.chat" in a GGUF file, kCardRecordFrom, ""
  // Strongest first: stablelm_chat.json, generation_config.json, config.json, or the keys of a GGUF file that carry
  // them; those that are there.
  std::vector<SettingLayer> layers;
  // Strongest first: generation_config.json, config.json. As in transformers, an end id cannot be a bad word.
  std::vector<TokenListLayer> token_lists;
  std::vector<int32_t> generation_config_eos;
  std::vector<std::string> warnings;  // what is worth a user's eye
};

// `tokenizer` may be null: then the model has no chat record. Throws Error for files that are broken, and for a chat
// record whose stop tokens the tokenizer does not have.
ModelDefaults ReadModelDefaults(const ModelSource& source, const ModelConfig& config, const Tokenizer* tokenizer);

}  // namespace stablelm
