#include "prompt/chat_setup.h"

#include "base/error.h"

namespace stablelm {

ChatSetup ResolveChatSetup(const ChatOptions& options, const std::optional<ChatRecord>& record,
                           const std::string& record_from, std::optional<PromptTemplate> fitting) {
  ChatSetup setup;
  if (options.prompt_template) {
    setup.prompt_template = *options.prompt_template;
    setup.template_from = "--template";
  } else if (record) {
    setup.prompt_template = record->prompt_template;
    setup.template_from = record_from;
  } else {
    throw Error({.where = "chat template",
                 .what = "the model does not say how to talk to it",
                 .found = "no stablelm_chat.json, and a tokenizer without <|SYSTEM|>, <|USER|> and <|ASSISTANT|>",
                 .hint = fitting
                             ? "its tokenizer has the tokens of `prompt_template=" + std::string(NameOf(*fitting)) + "`"
                             : "name a template, for instance `prompt_template=alpaca`, or none for the bare text"});
  }
  if (options.no_system || options.system) {
    setup.system = options.no_system ? std::nullopt : options.system;
    setup.system_from = options.no_system ? "--no-system" : "--system";
    setup.system_forced = true;
  } else if (record && record->prompt_template == setup.prompt_template) {
    setup.system = record->system;
    setup.system_from = setup.system ? record_from : "none";
  } else if (const auto text = DefaultSystemText(setup.prompt_template)) {
    setup.system = std::string(*text);
    setup.system_from = "the template";
  } else {
    setup.system_from = "none";
  }
  return setup;
}

Conversation WithSystemMessage(Conversation conversation, ChatSetup& setup) {
  const bool has_own = !conversation.empty() && conversation.front().role == Role::kSystem;
  if (has_own && !setup.system_forced) {
    setup.system = conversation.front().text;
    setup.system_from = "the conversation";
    return conversation;
  }
  if (has_own) conversation.erase(conversation.begin());
  if (setup.system) conversation.insert(conversation.begin(), {.role = Role::kSystem, .text = *setup.system});
  return conversation;
}

}  // namespace stablelm
