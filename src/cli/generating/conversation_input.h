// The conversation that a command is asked to write as a prompt: --user or --messages, and how to write it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json_value.h"
#include "cli/app/options.h"
#include "generate/reply.h"
#include "generate/settings/model_defaults.h"
#include "prompt/chat_setup.h"
#include "prompt/context_policy.h"

namespace stablelm {

struct ConversationInput {
  std::optional<std::string> user;      // --user TEXT: one message
  std::optional<std::string> messages;  // --messages FILE
  std::optional<std::string> system;    // --system TEXT|@FILE
  bool no_system = false;
  std::optional<PromptTemplate> prompt_template;
  ContextPolicy policy = ContextPolicy::kError;
  std::optional<int64_t> reserve;
  bool replace_invalid = false;  // --invalid-utf8 replace, where the command has it

  bool Given() const { return user || messages; }
  // Throws UsageError for --system, --no-system or --template without a conversation.
  void RequireNoConversationOptions() const;
};
void AddConversationInput(CLI::App& app, ConversationInput& input);
// Those of them that say how a conversation is written: --system, --no-system, --template.
void AddPromptOptions(CLI::App& app, ConversationInput& input);
// --context-policy and --reserve; input.policy is the default that --help names.
void AddContextOptions(CLI::App& app, ConversationInput& input);

// What has to be said of a reply whose context was shifted: a sentence for people, {"times", "dropped_tokens",
// "approximate"} for programs.
std::string ShiftText(const GenerateResult& result);
JsonValue ShiftJson(const GenerateResult& result);

ContextLimits LimitsOf(const ConversationInput& input, int64_t context);

// What --system, --no-system and --template ask for. Throws UsageError and Error.
ChatOptions ChatOptionsOf(const ConversationInput& input);
// --system TEXT, or @FILE: the text. `where` names the option in errors.
std::string SystemTextOf(const std::string& given, const std::string& where, bool replace_invalid);

struct PromptOfCommand {
  ChatSetup setup;
  FittedPrompt fitted;
  std::string where;  // what the conversation is called in errors
};
// Reads and checks the conversation, builds its prompt and fits it into the context; what was dropped is said in a
// warning. `input` is Given(). Throws UsageError and Error.
PromptOfCommand PromptFor(const ConversationInput& input, const Tokenizer& tokenizer, const ModelDefaults& defaults,
                          int64_t context, Output& out);

}  // namespace stablelm
