// stablelm prompt: shows the prompt that the model gets for a conversation.

#include "base/error.h"
#include "base/json_value.h"
#include "cli/app/arguments.h"
#include "cli/app/command.h"
#include "cli/app/load_tokenizer.h"
#include "cli/app/model_loading.h"
#include "cli/generating/conversation_input.h"
#include "cli/generating/prompt_text.h"

namespace stablelm {
namespace {

class PromptCommand : public Command {
 public:
  std::string Name() const override { return "prompt"; }
  std::string Summary() const override { return "Show the prompt that a conversation becomes, as text and ids"; }
  std::string Examples() const override {
    return "  stablelm prompt models/stablelm-tuned-3b --user \"What's your mood today?\"\n"
           "  stablelm prompt models/stablelm-tuned-3b --messages chat.json --system @system.txt --json\n"
           "  stablelm prompt models/stablelm-3b --user \"Name a colour\" --template alpaca\n"
           "  stablelm prompt models/stablelm-tuned-3b --user \"Summarize this:\" - < notes.txt\n"
           "The text as the model will see it, then a line per part: whose turn, the index of its first id, its kind\n"
           "(control: a token placed by id; marker: text of the template; text: of a message), its ids. On a terminal\n"
           "each role has its colour and control tokens are reversed. Only config.json, tokenizer.json and the chat\n"
           "record are read, not the weights.";
  }
  unsigned Takes() const override { return kTakesModelFirst; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "STDIN", "STDIN", stdin_, "- appends standard input to the message of --user");
    AddConversationInput(app, input_);
    AddContextOptions(app, input_);
    AddInvalidUtf8(app, input_.replace_invalid);
  }

  size_t NeededAfterModel(const Arguments& arguments) const override {
    return arguments.positionals.back() == "-" ? 1 : 0;
  }

  int Run(Output& out) override {
    RequireModel(common);
    if (stdin_ && (*stdin_ != "-" || !input_.user)) {
      throw UsageError({.where = Name(),
                        .what = "unexpected argument " + Quoted(*stdin_),
                        .expected = "--user TEXT -, which appends standard input to the message",
                        .hint = "--user TEXT or --messages FILE gives the conversation"});
    }
    RequireGiven(input_.Given(), "--user or --messages", "they give the conversation");
    const auto source = ModelSource::Open(common.model);
    const ModelConfig config = source->ReadConfig();
    const Tokenizer tokenizer = LoadTokenizer(*source, out);
    const ModelDefaults defaults = ReadModelDefaults(*source, config, &tokenizer);
    if (stdin_) input_.user = WithStandardInput(*input_.user, input_.replace_invalid, out);
    const PromptOfCommand prompt =
        PromptFor(input_, tokenizer, defaults, LimitsOf(input_, config.max_positions, config.max_positions), out);
    out.json() ? PrintJson(prompt, tokenizer, config, out) : PrintText(prompt, tokenizer, config, out);
    return kExitOk;
  }

 private:
  static void PrintText(const PromptOfCommand& command, const Tokenizer& tokenizer, const ModelConfig& config,
                        Output& out) {
    const Prompt& prompt = command.fitted.prompt;
    std::string ids;
    for (const PromptPart& part : prompt.parts) {
      char head[64];
      std::snprintf(head, sizeof head, "%-9s  %6zu  %-7s ", NameOf(part.role), part.begin, NameOf(part.kind));
      std::string line = head;
      for (size_t i = part.begin; i < part.end; ++i) line += " " + std::to_string(prompt.ids[i]);
      ids += Painted(part, line, out.color()) + "\n";
    }
    out.Styled(PromptText(prompt, tokenizer, out.color()) + "\n\n" + ids);
    out.Flush();
    out.Note(std::to_string(prompt.ids.size()) + " of " + std::to_string(config.max_positions) +
             " positions; template " + NameOf(command.setup.prompt_template) + " (" + command.setup.template_from +
             "), system text: " + command.setup.system_from);
  }

  static void PrintJson(const PromptOfCommand& command, const Tokenizer& tokenizer, const ModelConfig& config,
                        Output& out) {
    const Prompt& prompt = command.fitted.prompt;
    JsonValue parts = JsonValue::Array();
    for (const PromptPart& part : prompt.parts) {
      parts.push_back({{"role", NameOf(part.role)},
                       {"kind", NameOf(part.kind)},
                       {"begin", part.begin},
                       {"end", part.end},
                       {"text", PartBytes(prompt, part, tokenizer)}});
    }
    out.Json({{"template", NameOf(command.setup.prompt_template)},
              {"template_from", command.setup.template_from},
              {"system_from", command.setup.system_from},
              {"text", tokenizer.DecodeBytes(prompt.ids)},
              {"ids", prompt.ids},
              {"parts", parts},
              {"context", config.max_positions},
              {"dropped", {{"messages", command.fitted.dropped_messages}, {"tokens", command.fitted.dropped_tokens}}}});
  }

  ConversationInput input_;
  std::optional<std::string> stdin_;
};

}  // namespace

std::unique_ptr<Command> MakePrompt() { return std::make_unique<PromptCommand>(); }

}  // namespace stablelm
