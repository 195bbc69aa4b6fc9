#include "cli/generating/conversation_input.h"

#include "base/ascii.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/home_folder.h"
#include "base/json_value.h"

namespace stablelm {
namespace {

[[noreturn]] void FailUsage(const std::string& where, const std::string& what, const std::string& hint) {
  throw UsageError({.where = where, .what = what, .hint = hint});
}

Conversation ReadConversation(const ConversationInput& input) {
  if (input.user) return {{.role = Role::kUser, .text = CheckedUtf8(*input.user, "--user", input.replace_invalid)}};
  const std::string where = *input.messages == "-" ? "standard input" : *input.messages;
  return ParseMessages(CheckedUtf8(ReadFileOrPipe(*input.messages), where, input.replace_invalid), where);
}

}  // namespace

void ConversationInput::RequireNoConversationOptions() const {
  const char* given = system ? "--system" : no_system ? "--no-system" : prompt_template ? "--template" : nullptr;
  if (given) FailUsage(given, "needs a conversation", "give one: --user TEXT or --messages FILE");
}

void AddConversationInput(CLI::App& app, ConversationInput& input) {
  AddText(app, "--user", "TEXT", input.user, "A message to the model, written as its chat template wants it");
  AddText(app, "--messages", "FILE", input.messages,
          "A conversation: OpenAI's list of {\"role\", \"content\"}, as JSON (- is standard input)");
  AddPromptOptions(app, input);
}

void AddPromptOptions(CLI::App& app, ConversationInput& input) {
  AddText(app, "--system", "TEXT|@FILE", input.system,
          "System text, taken as it is, in place of the model's and of the conversation's own");
  AddFlag(app, "--no-system", input.no_system, "No system text at all");
  AddChoice(app, "--template", PromptTemplateNames(), "Chat template (default: the model's own)",
            [&input](size_t i) { input.prompt_template = PromptTemplateOf(PromptTemplateNames()[i]); });
}

void AddContextOptions(CLI::App& app, ConversationInput& input) {
  AddChoice(
      app, "--context-policy", ContextPolicyNames(),
      "What to do when prompt and reserve do not fit the context: refuse, drop the oldest turns of the conversation, "
      "do that and let a reply that fills the context drop the oldest half of what follows the system text "
      "or the first four tokens (approximate), or reply until the context is full (default: " +
          std::string(NameOf(input.policy)) + ")",
      [&input](size_t i) { input.policy = *ContextPolicyOf(ContextPolicyNames()[i]); });
  AddNumber(app, "--reserve", input.reserve, Limits<int64_t>{0, int64_t{1} << 31},
            "Tokens of the context that stay free for the reply (default: 0; with drop-oldest-turns and shift "
            "512, at most half the context)");
}

std::string ShiftText(const GenerateResult& result) {
  return "the context was full " + (result.shifts == 1 ? "once" : std::to_string(result.shifts) + " times") +
         " during the reply: the oldest " + Counted(result.shifted_tokens, "token") + " behind the first " +
         std::to_string(result.shift_kept) + " were dropped, and what came after is approximate";
}

JsonValue ShiftJson(const GenerateResult& result) {
  return {{"times", result.shifts},
          {"dropped_tokens", result.shifted_tokens},
          {"kept_tokens", result.shift_kept},
          {"approximate", result.shifts > 0}};
}

ContextLimits LimitsOf(const ConversationInput& input, int64_t context, int64_t longest) {
  return LimitsFor(input.policy, input.reserve, context, longest);
}

std::string SystemTextOf(const std::string& given, const std::string& where, bool replace_invalid) {
  if (!given.starts_with("@")) return CheckedUtf8(given, where, replace_invalid);
  const std::string file = ExpandHome(given.substr(1));
  RequireGiven(!file.empty(), where + " @FILE", "name the file behind the @");
  return CheckedUtf8(ReadFileOrPipe(file), file, replace_invalid);
}

std::string WithStandardInput(const std::string& message, bool replace_invalid, Output& out) {
  std::string text = ReadTextInput({.text = "-", .file = {}, .replace_invalid = replace_invalid}, out);
  if (!message.empty()) return message + "\n\n" + text;
  DropLineEnd(text);  // that of `echo`
  if (text.empty()) {
    throw Error({.where = "standard input",
                 .what = "empty: there is no message to answer",
                 .hint = "write one there, or give its text in place of -"});
  }
  return text;
}

ChatOptions ChatOptionsOf(const ConversationInput& input) {
  if (input.system && input.no_system) FailUsage("--no-system", "contradicts --system", "leave one of them out");
  ChatOptions options = {
      .prompt_template = input.prompt_template, .system = std::nullopt, .no_system = input.no_system};
  if (input.system) options.system = SystemTextOf(*input.system, "--system", input.replace_invalid);
  return options;
}

void RequireRoomForMessage(const ChatSetup& setup, const Tokenizer& tokenizer, const ContextLimits& limits) {
  ChatSetup alone = setup;
  try {
    FitConversation({{.role = Role::kUser, .text = "?"}}, alone, tokenizer, limits, "the system text");
  } catch (const Error& error) {
    if (error.info().where != "the system text") throw;
    throw Error({.where = "the system text (" + setup.system_from + ")",
                 .what = "no room is left for a message",
                 .found = error.info().found,
                 .expected = error.info().expected,
                 .hint = "a shorter --system, --no-system" +
                         std::string(limits.context < limits.longest ? ", a longer --context" : "") +
                         " or a smaller --reserve"});
  }
}

PromptOfCommand PromptFor(const ConversationInput& input, const Tokenizer& tokenizer, const ModelDefaults& defaults,
                          const ContextLimits& limits, Output& out) {
  if (input.user && input.messages) {
    FailUsage("--messages", "the conversation is given twice, by --user and by --messages", "leave one of them out");
  }
  PromptOfCommand prompt;
  prompt.where = input.user ? "--user" : *input.messages == "-" ? "standard input" : *input.messages;
  prompt.setup =
      ResolveChatSetup(ChatOptionsOf(input), defaults.record, defaults.record_from, defaults.template_by_tokens);
  Conversation conversation = ReadConversation(input);
  try {
    prompt.fitted = FitConversation(std::move(conversation), prompt.setup, tokenizer, limits, prompt.where);
  } catch (const Error& error) {  // it may be the system text that is too long
    if (error.info().where == prompt.where) RequireRoomForMessage(prompt.setup, tokenizer, limits);
    throw;
  }
  if (prompt.fitted.dropped_messages > 0) {
    out.Warning("the conversation does not fit the context: its " +
                Counted(prompt.fitted.dropped_messages, "oldest message") + " (" +
                Counted(prompt.fitted.dropped_tokens, "token") + ") " +
                (prompt.fitted.dropped_messages == 1 ? "was" : "were") + " dropped");
  }
  return prompt;
}

}  // namespace stablelm
