// stablelm prompt: what the model will really see of a conversation.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/utf8.h"
#include "checkpoint/model_folder.h"
#include "cli/commands.h"
#include "cli/conversation_input.h"
#include "cli/load_tokenizer.h"

namespace stablelm {
namespace {

constexpr const char* kPlain = "\033[0m";

const char* ColorOf(Role role) {
  switch (role) {
    case Role::kSystem:
      return "\033[33m";  // yellow
    case Role::kUser:
      return "\033[32m";  // green
    case Role::kAssistant:
      return "\033[36m";  // cyan
  }
  STABLELM_CHECK(false);
}

// Lines stay lines; other control characters are shown, so that no text can act on the terminal.
std::string Visible(std::string_view bytes) {
  const std::string text = utf8::ReplaceInvalid(bytes);
  std::string out;
  for (std::string_view rest = text; !rest.empty();) {
    const utf8::Decoded one = utf8::DecodeOne(rest);
    const bool control = (one.code_point < 0x20 && one.code_point != '\n' && one.code_point != '\t') ||
                         (one.code_point >= 0x7F && one.code_point < 0xA0);
    if (control) {
      char shown[8];
      std::snprintf(shown, sizeof shown, "\\x%02X", static_cast<unsigned>(one.code_point));
      out += shown;
    } else {
      out += rest.substr(0, one.bytes);
    }
    rest.remove_prefix(one.bytes);
  }
  return out;
}

class PromptCommand : public Command {
 public:
  std::string Name() const override { return "prompt"; }
  std::string Summary() const override { return "Show the prompt that a conversation becomes, as text and ids"; }
  std::string Examples() const override {
    return "  stablelm prompt -m models/stablelm-tuned-3b --user \"What's your mood today?\"\n"
           "  stablelm prompt -m models/stablelm-tuned-3b --messages chat.json --system @system.txt --json\n"
           "  stablelm prompt -m models/stablelm-3b --user \"Name a colour\" --template alpaca\n"
           "The text as the model will see it, then a line per part: whose turn, the index of its first id, its kind\n"
           "(control: a token placed by id; marker: text of the template; text: of a message), its ids. On a terminal\n"
           "each role has its colour and control tokens are reversed. Only config.json, tokenizer.json and the chat\n"
           "record are read, not the weights.";
  }
  unsigned Takes() const override { return kTakesModel; }
  void AddOptions(CLI::App& app) override {
    AddConversationInput(app, input_);
    AddContextOptions(app, input_);
    AddChoice(app, "--invalid-utf8", {"error", "replace"},
              "What to do with bytes that are not UTF-8: refuse (default), or put U+FFFD in their place",
              [this](size_t i) { input_.replace_invalid = i == 1; });
  }

  int Run(Output& out) override {
    RequireGiven(!common.model.empty(), "--model", "-m names a model folder, or a hub id in the Hugging Face cache");
    RequireGiven(input_.Given(), "--user or --messages", "they give the conversation");
    const std::filesystem::path folder = ModelFolder::Resolve(common.model);
    const ModelConfig config = ReadConfig(folder / "config.json");
    const Tokenizer tokenizer = LoadTokenizer(common.model, "", out);
    const ModelDefaults defaults = ReadModelDefaults(folder, config, &tokenizer);
    const PromptOfCommand prompt = PromptFor(input_, tokenizer, defaults, config.max_positions, out);
    out.json() ? PrintJson(prompt, tokenizer, config, out) : PrintText(prompt, tokenizer, config, out);
    return kExitOk;
  }

 private:
  static std::string Bytes(const Prompt& prompt, const PromptPart& part, const Tokenizer& tokenizer) {
    return tokenizer.DecodeBytes(std::span(prompt.ids).subspan(part.begin, part.end - part.begin));
  }

  static void PrintText(const PromptOfCommand& command, const Tokenizer& tokenizer, const ModelConfig& config,
                        Output& out) {
    const Prompt& prompt = command.fitted.prompt;
    const auto paint = [&](const PromptPart& part, const std::string& text) {
      if (!out.color()) return text;
      return ColorOf(part.role) + std::string(part.kind == PartKind::kControl ? "\033[7m" : "") + text + kPlain;
    };
    std::string text, ids;
    for (const PromptPart& part : prompt.parts) {
      text += paint(part, Visible(Bytes(prompt, part, tokenizer)));
      char head[64];
      std::snprintf(head, sizeof head, "%-9s  %6zu  %-7s ", NameOf(part.role), part.begin, NameOf(part.kind));
      std::string line = head;
      for (size_t i = part.begin; i < part.end; ++i) line += " " + std::to_string(prompt.ids[i]);
      ids += paint(part, line) + "\n";
    }
    out.Text(text + "\n\n" + ids);
    out.Flush();
    out.Note(std::to_string(prompt.ids.size()) + " of " + std::to_string(config.max_positions) +
             " positions; template " + NameOf(command.setup.prompt_template) + " (" + command.setup.template_from +
             "), system text: " + command.setup.system_from);
  }

  static void PrintJson(const PromptOfCommand& command, const Tokenizer& tokenizer, const ModelConfig& config,
                        Output& out) {
    using Json = nlohmann::ordered_json;
    const Prompt& prompt = command.fitted.prompt;
    Json parts = Json::array();
    for (const PromptPart& part : prompt.parts) {
      parts.push_back({{"role", NameOf(part.role)},
                       {"kind", NameOf(part.kind)},
                       {"begin", part.begin},
                       {"end", part.end},
                       {"text", Bytes(prompt, part, tokenizer)}});
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
};

}  // namespace

std::unique_ptr<Command> MakePrompt() { return std::make_unique<PromptCommand>(); }

}  // namespace stablelm
