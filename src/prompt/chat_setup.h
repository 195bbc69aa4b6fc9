// Chooses template and system text for a conversation: the user's options, else the model's chat record.
#pragma once

#include <optional>
#include <string>

#include "prompt/chat_record.h"
#include "prompt/conversation.h"
#include "prompt/prompt_template.h"

namespace stablelm {

// The user's options; empty: as in the model's chat record.
struct ChatOptions {
  std::optional<PromptTemplate> prompt_template;  // --template
  std::optional<std::string> system;              // --system
  bool no_system = false;                         // --no-system
};

struct ChatSetup {
  PromptTemplate prompt_template = PromptTemplate::kNone;
  std::string template_from;          // "--template", "stablelm_chat.json", "the model card"
  std::optional<std::string> system;  // none: the conversation begins with the user
  std::string system_from;            // "--system", "--no-system", "stablelm_chat.json", ...; "none" without a text
  bool system_forced = false;         // set by a flag, which overrides the conversation's own system message
};

// `record` is the model's chat record and `record_from` its source (ModelDefaults). Throws Error when no template is
// known: the model has no chat record, its tokenizer has no role tokens, and the user named none. A template other than
// the record's uses its own system text. `fitting` is what TemplateByTokens says, for the error's hint.
ChatSetup ResolveChatSetup(const ChatOptions& options, const std::optional<ChatRecord>& record,
                           const std::string& record_from, std::optional<PromptTemplate> fitting);

// The conversation with the effective system message: the flag's, else its own, else the record's. Sets `setup.system`
// and `system_from` accordingly.
Conversation WithSystemMessage(Conversation conversation, ChatSetup& setup);

}  // namespace stablelm
