// stablelm chat: a conversation in a terminal or through a pipe.
#include <unistd.h>

#include "base/error.h"
#include "base/random.h"
#include "cli/chat_pipe.h"
#include "cli/chat_session.h"
#include "cli/chat_terminal.h"
#include "cli/commands.h"
#include "cli/conversation_input.h"
#include "cli/generation_options.h"
#include "cli/interrupt.h"
#include "cli/model_loading.h"
#include "cli/options.h"

namespace stablelm {
namespace {

class ChatCommand : public Command {
 public:
  ChatCommand() { conversation_.policy = ContextPolicy::kDropOldestTurns; }
  std::string Name() const override { return "chat"; }
  std::string Summary() const override { return "Talk to a model, in a terminal or through a pipe"; }
  std::string Examples() const override {
    return "  stablelm chat -m models/stablelm-tuned-3b\n"
           "  stablelm chat -m models/stablelm-tuned-3b --system @persona.txt --temperature 0.5\n"
           "  stablelm chat -m models/stablelm-tuned-3b --load yesterday.json\n"
           "  echo \"What's your mood today?\" | stablelm chat -m models/stablelm-tuned-3b\n"
           "\n"
           "On a terminal: /help lists the commands, Ctrl-C stops a reply and keeps what has come, Ctrl-D leaves, "
           "\"\"\"\n"
           "begins and ends a message of several lines, a \\ at the end of a line goes on. Otherwise every line of\n"
           "standard input is a message or a command and every reply goes to standard output, with --json as an "
           "object:\n"
           "content, finish_reason, seed, sample, counts, dropped, seconds. Lines without text are left out; exit code "
           "1\n"
           "when one of them failed. The conversation is the model's memory: when it outgrows the context, the oldest\n"
           "turns are left out, which is said.";
  }
  unsigned Takes() const override { return kTakesModel | kTakesThreads | kTakesDtype | kTakesKv | kTakesActivation; }
  void AddOptions(CLI::App& app) override {
    AddPromptOptions(app, conversation_);
    AddText(app, "--load", "FILE", load_, "Go on with a conversation: OpenAI's list of messages, or a file of /save");
    AddContextOptions(app, conversation_);
    AddGenerationOptions(app, generation_);
    AddNumber(app, "--seed", seed_, Limits<uint64_t>{},
              "Seed of the draws (default: random, shown by /show); replies are numbered under it");
    AddInvalidUtf8(app, conversation_.replace_invalid);
    AddFlag(app, "--plain", plain_, "On a terminal: text as it comes, no Markdown and no word wrap");
    AddText(app, "--history", "FILE", history_,
            "On a terminal: keep what is typed in FILE (default: the user's state folder; \"\": nowhere)");
    AddCheckWeights(app, check_weights_);
  }
  int Run(Output& out) override;

 private:
  ConversationInput conversation_;
  GenerationOptions generation_;
  std::optional<std::string> load_;
  std::optional<uint64_t> seed_;
  std::optional<std::string> history_;
  bool check_weights_ = false, plain_ = false;
};

int ChatCommand::Run(Output& out) {
  ModelOfCommand model(common, out);
  const Tokenizer& tokenizer = model.RequireTokenizer("stablelm generate --ids \"1 2 3\"");
  const ModelDefaults defaults = ReadModelDefaults(model.source(), model.config(), &tokenizer);
  for (const std::string& warning : defaults.warnings) out.Warning(warning);
  const int64_t context = model.config().max_positions;
  ChatStart start = {.model_name = common.model,
                     .config = model.config(),
                     .tokenizer = tokenizer,
                     .defaults = defaults,
                     .setup = ResolveChatSetup(WishesOf(conversation_), defaults),
                     .limits = LimitsOf(conversation_, context),
                     .options = generation_,
                     .seed = seed_ ? *seed_ : RandomSeed()};

  // A terminal on both sides is a person; anything else gets one reply for each line.
  const bool person = !out.json() && isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
  PipeScreen pipe(out);
  TerminalScreen terminal(out, {.plain = plain_, .status = out.show_progress()});
  std::optional<SequenceGenerator> generator;
  const ReplyFunction reply = [&](const GenerateRequest& request,
                                  const std::function<void(std::string_view)>& on_text) {
    if (person) terminal.Wait();
    const InterruptGuard guard;
    return generator->Generate(request, {.cancel = &InterruptFlag(), .on_text = on_text});
  };
  ChatSession session(std::move(start), reply, person ? static_cast<ChatScreen&>(terminal) : pipe);
  if (load_) session.Load(*load_);  // what is wrong should be said before anything large is loaded
  const RunShape run = ShapeOfGenerate(context, common.kv, common.threads);
  model.Load(run, check_weights_);
  generator.emplace(model.model(), run, model.pool());

  if (person) {
    out.Note(common.model + ", " + std::to_string(context) + " positions; /help lists the commands, Ctrl-D leaves");
    return RunTerminal(session, terminal, history_ ? *history_ : DefaultHistoryFile()) ? kExitOk : kExitInterrupted;
  }
  const bool refused = RunPipe(session, pipe, conversation_.replace_invalid);
  if (Interrupted()) return kExitInterrupted;
  return refused || session.failed() ? kExitFailed : kExitOk;
}

}  // namespace

std::unique_ptr<Command> MakeChat() { return std::make_unique<ChatCommand>(); }

}  // namespace stablelm
