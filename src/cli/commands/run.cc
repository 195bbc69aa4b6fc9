// stablelm run MODEL [TEXT]: a chat, or one answer. Stands for `chat` and `generate --user`.
#include "base/error.h"
#include "cli/app/arguments.h"
#include "cli/app/command.h"
#include "cli/app/load_tokenizer.h"
#include "cli/app/model_loading.h"
#include "cli/app/options.h"
#include "cli/generating/conversation_input.h"
#include "cli/generating/generation_options.h"

namespace stablelm {
namespace {

class RunModel : public Command {
 public:
  RunModel() { conversation_.policy = ContextPolicy::kDropOldestTurns; }
  std::string Name() const override { return "run"; }
  std::string Summary() const override { return "Talk to a model, or with TEXT get one answer"; }
  std::string Examples() const override {
    return "  stablelm run\n"
           "  stablelm run stablelm-3b-q4.gguf\n"
           "  stablelm run stablelm-3b-q4.gguf \"What's your mood today?\"\n"
           "  stablelm run stablelm-3b-q4.gguf \"Summarize this:\" - < notes.txt\n"
           "\n"
           "Without TEXT this is stablelm chat, with TEXT it is stablelm generate --user TEXT; the options are those\n"
           "that both have. What one of them alone has, such as --history of chat or --samples of generate, is given\n"
           "to that command. A - behind TEXT appends standard input to the message, after a blank line;\n"
           "in place of TEXT it is the message.\n"
           "Without MODEL and STABLELM_MODEL the small model that comes with stablelm answers: stablelm run, or\n"
           "stablelm run -p TEXT; stablelm chat --help tells of larger ones.";
  }
  unsigned Takes() const override {
    return kTakesModelFirst | kModelOptional | kTakesThreads | kTakesDtype | kTakesLora | kTakesKv | kTakesActivation;
  }
  void AddOptions(CLI::App& app) override {
    AddText(app, "TEXT", "TEXT", text_, "A message; without it a conversation begins");
    AddText(app, "STDIN", "STDIN", input_, "- appends standard input to the message");
    AddPromptOptions(app, conversation_);
    AddGenerationOptions(app, generation_);
    BeginGroup(app, "How tokens are chosen");
    AddNumber(app, "--seed", seed_, Limits<uint64_t>{}, "Seed of the random choices (default: a random one)");
    BeginGroup(app, "The context");
    AddContext(app, context_, "Most tokens of the conversation");
    AddContextOptions(app, conversation_);
    BeginGroup(app, "Text and files");
    AddInvalidUtf8(app, conversation_.replace_invalid);
    AddCheckWeights(app, check_weights_);
  }

  std::vector<std::string> StandsFor(const Arguments& arguments) const override {
    std::vector<std::string> words = arguments.positionals;
    // Without a model that command takes the one of STABLELM_MODEL, or the bundled one.
    const bool no_model = words.empty() || words[0] == "-";
    if (no_model && (arguments.text || !words.empty())) words.insert(words.begin(), "");
    if (arguments.text) words.insert(words.begin() + 1, *arguments.text);
    if (words.size() > 2 && words[2] != "-") {
      throw UsageError({.where = "run",
                        .what = "unexpected argument " + Quoted(words[2]),
                        .expected = "- for standard input, or nothing",
                        .hint = NamesModel(words[1]) ? "is the model given twice, by -m and as an argument?"
                                                     : "put text with spaces in quotes"});
    }
    if (!no_model) RequireModelsName(words[0], "run");
    std::vector<std::string> other = {words.size() > 1 ? "generate" : "chat"};
    if (!no_model) other.insert(other.end(), {"--model", words[0]});
    for (const GivenOption& given : arguments.options) {
      other.push_back(given.name);
      if (given.value) other.push_back(*given.value);
    }
    const bool input_alone = words.size() == 2 && words[1] == "-";
    if (words.size() > 1) other.insert(other.end(), {"--user", input_alone ? "" : words[1]});
    if (words.size() > 2 || input_alone) other.emplace_back("-");
    return other;
  }
  int Run(Output& /*out*/) override { STABLELM_CHECK(false); }  // the program runs the other command

 private:
  ConversationInput conversation_;
  GenerationOptions generation_;
  std::optional<std::string> text_, input_;
  std::optional<uint64_t> seed_;
  std::optional<int64_t> context_;
  bool check_weights_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeRun() { return std::make_unique<RunModel>(); }

}  // namespace stablelm
