// How this conversation is written for this model: what the user asked for, else what the model's chat record says.
#pragma once

#include <optional>
#include <string>

#include "prompt/chat_record.h"
#include "prompt/conversation.h"
#include "prompt/prompt_template.h"

namespace stablelm {

// What a user asked for; empty: as the model says.
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
  bool system_forced = false;         // a flag said so: it counts for more than a conversation's own system message
};

// `record` is the model's and `record_from` where it was found (ModelDefaults). Throws Error when no template is known:
// the model has no chat record, its tokenizer has no role tokens, and the user named none. A template other than the
// record's comes with its own system text.
ChatSetup ResolveChatSetup(const ChatOptions& options, const std::optional<ChatRecord>& record,
                           const std::string& record_from);

// The conversation with the system message that is in force: a flag's, else its own, else the record's.
// `setup.system` and `system_from` are set to what was taken.
Conversation WithSystemMessage(Conversation conversation, ChatSetup& setup);

}  // namespace stablelm
