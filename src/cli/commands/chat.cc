// stablelm chat: a conversation in a terminal or through a pipe.
#include <unistd.h>

#include "base/error.h"
#include "base/random.h"
#include "cli/app/commands.h"
#include "cli/app/interrupt.h"
#include "cli/app/model_loading.h"
#include "cli/app/options.h"
#include "cli/chat/chat_pipe.h"
#include "cli/chat/chat_session.h"
#include "cli/chat/chat_terminal.h"
#include "cli/generating/conversation_input.h"
#include "cli/generating/generation_options.h"

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
  unsigned Takes() const override {
    return kTakesModelFirst | kTakesThreads | kTakesDtype | kTakesKv | kTakesActivation;
  }
  void AddOptions(CLI::App& app) override {
    AddPromptOptions(app, conversation_);
    AddText(app, "--load", "FILE", load_, "Go on with a conversation: OpenAI's list of messages, or a file of /save");
    AddNumber(app, "--context", context_, Limits<int64_t>{2, int64_t{1} << 31},
              "Positions of the chat, prompt and reply together: the cache is made for so many (default: the model's)");
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
  using BeforeReply = std::function<void()>;
  int64_t ContextFor(const ModelConfig& config) const;
  ChatModel Open(const std::string& path, const BeforeReply& before, Output& out) const;

  ConversationInput conversation_;
  GenerationOptions generation_;
  std::optional<std::string> load_;
  std::optional<int64_t> context_;
  std::optional<uint64_t> seed_;
  std::optional<std::string> history_;
  bool check_weights_ = false, plain_ = false;
};

// Everything needed to run a model.
struct RunningModel {
  RunningModel(CommonOptions options, Output& out) : common(std::move(options)), model(common, out) {}
  const CommonOptions common;  // `model` refers to it
  ModelOfCommand model;
  std::optional<SequenceGenerator> generator;
};

int64_t ChatCommand::ContextFor(const ModelConfig& config) const {
  if (!context_ || *context_ <= config.max_positions) return context_.value_or(config.max_positions);
  throw Error({.where = "--context",
               .what = "more positions than the model has",
               .found = std::to_string(*context_),
               .expected = "at most " + std::to_string(config.max_positions)});
}

ChatModel ChatCommand::Open(const std::string& path, const BeforeReply& before, Output& out) const {
  CommonOptions options = common;
  options.model = path;
  const auto running = std::make_shared<RunningModel>(std::move(options), out);
  ModelOfCommand& model = running->model;
  const Tokenizer& tokenizer = model.RequireTokenizer("stablelm generate --ids \"1 2 3\"");
  ModelDefaults defaults = ReadModelDefaults(model.source(), model.config(), &tokenizer);
  for (const std::string& warning : defaults.warnings) out.Warning(warning);
  const int64_t context = ContextFor(model.config());
  ChatSetup setup = ResolveChatSetup(ChatOptionsOf(conversation_), defaults.record, defaults.record_from,
                                     defaults.template_by_tokens);
  return {.name = path,
          .config = model.config(),
          .tokenizer = tokenizer,
          .defaults = std::move(defaults),
          .setup = std::move(setup),
          .context = context,
          .load =
              [running, context, check = check_weights_] {
                const RunShape run = ShapeOfGenerate(context, running->common.kv, running->common.threads);
                running->model.Load(run, check);
                running->generator.emplace(running->model.model(), run, running->model.pool());
              },
          .reply =
              [running, before](const GenerateRequest& request, const std::function<void(std::string_view)>& on_text) {
                before();
                const InterruptGuard guard;
                return running->generator->Generate(request, {.on_text = on_text}, &InterruptFlag());
              }};
}

int ChatCommand::Run(Output& out) {
  // If stdin and stdout are terminals, a person is chatting; otherwise each line gets one reply.
  const bool person = !out.json() && isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
  PipeScreen pipe(out);
  TerminalScreen terminal(out, {.plain = plain_, .status = out.show_progress()});
  const BeforeReply before = [&] {
    if (person) terminal.Wait();
  };
  ChatStart start = {.model = Open(common.model, before, out),
                     .policy = conversation_.policy,
                     .reserve = conversation_.reserve,
                     .options = generation_,
                     .seed = seed_ ? *seed_ : RandomSeed(),
                     .open = [&](const std::string& path) {
                       ChatModel next = Open(path, before, out);
                       next.load = [load = std::move(next.load)] {
                         const InterruptGuard guard;  // Ctrl-C during loading must not lose the conversation
                         load();
                       };
                       return next;
                     }};
  const int64_t context = start.model.context;
  ChatSession session(std::move(start), person ? static_cast<ChatScreen&>(terminal) : pipe);
  if (load_) session.Load(*load_);  // report errors before loading anything large
  session.LoadModel();

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
