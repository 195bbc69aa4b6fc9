// The conversation that a command turns into a prompt (--user or --messages), and its prompt options.
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
  bool replace_invalid = false;  // --invalid-utf8 replace, if the command has it

  bool Given() const { return user || messages; }
  // Throws UsageError for --system, --no-system or --template without a conversation.
  void RequireNoConversationOptions() const;
};
void AddConversationInput(CLI::App& app, ConversationInput& input);
// Adds only the options that shape the prompt: --system, --no-system, --template.
void AddPromptOptions(CLI::App& app, ConversationInput& input);
// Adds --context-policy and --reserve; input.policy is the default shown in --help.
void AddContextOptions(CLI::App& app, ConversationInput& input);

// Report a reply whose context was shifted: a sentence for people, {"times", "dropped_tokens", "approximate"} for
// programs.
std::string ShiftText(const GenerateResult& result);
JsonValue ShiftJson(const GenerateResult& result);

// `longest`: the context that the model has (ContextLimits).
ContextLimits LimitsOf(const ConversationInput& input, int64_t context, int64_t longest);

// `--user TEXT -`: TEXT, a blank line, standard input; without TEXT that alone. Throws Error when both are empty.
std::string WithStandardInput(const std::string& message, bool replace_invalid, Output& out);

// The chat options given by --system, --no-system and --template. Throws UsageError and Error.
ChatOptions ChatOptionsOf(const ConversationInput& input);
// The text of --system TEXT or @FILE. `where` names the option in errors.
std::string SystemTextOf(const std::string& given, const std::string& where, bool replace_invalid);

// Throws Error when the system text alone leaves no room for a message and its reply.
void RequireRoomForMessage(const ChatSetup& setup, const Tokenizer& tokenizer, const ContextLimits& limits);

struct PromptOfCommand {
  ChatSetup setup;
  FittedPrompt fitted;
  std::string where;  // names the conversation in errors
};
// Reads and checks the conversation, builds its prompt and fits it into the context. Warns about dropped messages.
// Requires input.Given(). Throws UsageError and Error.
PromptOfCommand PromptFor(const ConversationInput& input, const Tokenizer& tokenizer, const ModelDefaults& defaults,
                          const ContextLimits& limits, Output& out);

}  // namespace stablelm
