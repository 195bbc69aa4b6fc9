// The chat record of a model: template, system text, stop tokens and settings for chat. `stablelm_chat.json` in its
// folder:
//
//   {"template": "stablelm-tuned",            one of prompt/prompt_template.h
//    "system": "# StableLM Tuned ...\n",      null: none; absent: the template's own
//    "stop_tokens": ["<|USER|>", ...],        spellings of tokens that end a reply; absent: the template's own
//    "generation": {"temperature": 0.7}}      settings (prompt/setting_values.h); absent: none
//
// The model's author writes it, tools that copy the model keep it, and programs that talk to the model follow it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "prompt/prompt_template.h"
#include "prompt/setting_values.h"

namespace stablelm {

inline constexpr const char* kChatRecordFile = "stablelm_chat.json";

struct ChatRecord {
  PromptTemplate prompt_template = PromptTemplate::kNone;
  std::optional<std::string> system;
  std::vector<std::string> stop_tokens;
  SettingValues generation;
  bool operator==(const ChatRecord&) const = default;
};

// The record that follows the model card of StableLM-Tuned-Alpha: template, system text, five stop tokens, temperature
// 0.7.
ChatRecord CardChatRecord();

// Strict: rejects unknown keys, templates and settings and suggests the nearest known name. Throws Error that names the
// key.
ChatRecord ParseChatRecord(std::string_view json, const std::string& where);
// JSON that ParseChatRecord reads back as the same record. For training.
std::string WriteChatRecord(const ChatRecord& record);

}  // namespace stablelm
