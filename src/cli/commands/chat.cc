// stablelm chat: a conversation in a terminal or through a pipe.
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/home_folder.h"
#include "base/random.h"
#include "base/system.h"
#include "cli/app/bundled_model.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/load_tokenizer.h"
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
    return "  stablelm chat\n"
           "  stablelm chat -m models/stablelm-tuned-3b\n"
           "  stablelm chat -m models/stablelm-tuned-3b --system @persona.txt --temperature 0.5\n"
           "  stablelm chat -m models/stablelm-tuned-3b --load yesterday.json\n"
           "  echo \"What's your mood today?\" | stablelm chat -m models/stablelm-tuned-3b\n"
           "\n"
           "At a keyboard: /help lists the commands, Ctrl-C stops a reply and keeps what has come, Ctrl-D leaves, "
           "\"\"\"\n"
           "begins and ends a message of several lines, a \\ at the end of a line goes on. Otherwise every line of\n"
           "standard input is a message or a command and every reply goes to standard output, with --json as an "
           "object:\n"
           "content, finish_reason, seed, sample, counts, dropped, seconds. Lines without text are left out; exit code "
           "1\n"
           "when one of them failed. The conversation is the model's memory: when it outgrows the context, the oldest\n"
           "turns are left out, which is said.\n"
           "\n" +
           std::string(kAboutBundledModel);
  }
  unsigned Takes() const override {
    return kTakesModelFirst | kModelOptional | kTakesThreads | kTakesDtype | kTakesLora | kTakesKv | kTakesActivation;
  }
  void AddOptions(CLI::App& app) override {
    AddPromptOptions(app, conversation_);
    AddText(app, "--load", "FILE", load_, "Go on with a conversation: OpenAI's list of messages, or a file of /save");
    AddNumber(app, "--context", context_, Limits<int64_t>{2, int64_t{1} << 31},
              "Most tokens of the conversation, for which memory is taken (default: the model's context)");
    AddContextOptions(app, conversation_);
    AddGenerationOptions(app, generation_);
    BeginGroup(app, "How tokens are chosen");
    AddNumber(app, "--seed", seed_, Limits<uint64_t>{},
              "Seed of the random choices (default: a random one, shown by /show); replies are numbered under it");
    BeginGroup(app, "Text and files");
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

// The terminal that shows what is typed: that of stdout, of stderr, or else the controlling one.
class Terminal {
 public:
  explicit Terminal(bool wanted) {
    if (!wanted) return;
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
      if (isatty(fd) == 1) {
        fd_ = fd;
        return;
      }
    }
    fd_ = opened_ = open("/dev/tty", O_RDWR | O_CLOEXEC);
  }
  ~Terminal() {
    if (opened_ >= 0) close(opened_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  int fd() const { return fd_; }  // -1: none

 private:
  int fd_ = -1, opened_ = -1;
};

// Everything needed to run a model.
struct RunningModel {
  RunningModel(CommonOptions options, Output& out) : common(std::move(options)), model(common, out) {}
  const CommonOptions common;  // `model` refers to it
  ModelOfCommand model;
  std::optional<SequenceGenerator> generator;
};

// "3.6 B parameters, Q4_K, Q6_K, 2.1 GB".
std::string FactsOf(RunningModel& running, int64_t context) {
  const auto parameters = static_cast<double>(running.model.config().NumParameters());
  std::string text = parameters >= 1e9   ? Rounded(parameters / 1e9, 1) + " B"
                     : parameters >= 1e6 ? Rounded(parameters / 1e6, 0) + " M"
                                         : Rounded(parameters / 1e3, 0) + " k";
  text += " parameters";
  for (const auto& [type, bytes] : running.model.model().weights().MatrixBytes()) {
    text += ", " + std::string(NameOf(type));
  }
  text += AdaptersText(running.common);
  const MemoryPlan plan = PlanMemory(running.model.config(), running.model.PlannedWeights(),
                                     ShapeOfGenerate(context, running.common.kv, running.common.threads));
  return text + ", " + HumanBytes(plan.Total());
}

int64_t ChatCommand::ContextFor(const ModelConfig& config) const {
  if (!context_ || *context_ <= config.max_positions) return context_.value_or(config.max_positions);
  throw Error({.where = "--context",
               .what = "more positions than the model has",
               .found = std::to_string(*context_),
               .expected = "at most " + std::to_string(config.max_positions),
               .hint = "a shorter one, or leave it out for the model's whole context"});
}

ChatModel ChatCommand::Open(const std::string& path, const BeforeReply& before, Output& out) const {
  CommonOptions options = common;
  options.model = path;
  const bool other = path != common.model;                      // /model
  const bool leaves_adapters = other && !options.lora.empty();  // they belong to the first one
  if (other) {
    options.bundled = false;
    options.lora.clear();
  }
  const bool bundled = options.bundled && options.lora.empty();
  const auto running = std::make_shared<RunningModel>(std::move(options), out);
  if (leaves_adapters) out.Warning(path + " is taken without the adapters of --lora: they belong to " + common.model);
  ModelOfCommand& model = running->model;
  const Tokenizer& tokenizer = model.RequireTokenizer("stablelm generate --ids \"1 2 3\"");
  ModelDefaults defaults = model.ReadDefaults(&tokenizer);
  for (const std::string& warning : defaults.warnings) out.Warning(warning);
  const int64_t context = ContextFor(model.config());
  ChatSetup setup = ResolveChatSetup(ChatOptionsOf(conversation_), defaults.record, defaults.record_from,
                                     defaults.template_by_tokens);
  if (!load_) {
    RequireRoomForMessage(setup, tokenizer, LimitsOf(conversation_, context, model.config().max_positions));
  }
  return {.name = path,
          .bundled = bundled,
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
          .facts = [running, context] { return FactsOf(*running, context); },
          .reply =
              [running, before](const GenerateRequest& request, const std::function<void(std::string_view)>& on_text) {
                before();
                const InterruptGuard guard;
                return running->generator->Generate(request, {.on_text = on_text}, &InterruptFlag());
              }};
}

int ChatCommand::Run(Output& out) {
  TakeBundledModel(common);
  RequireModelsName(common.model, Name());
  // At a keyboard a person is chatting; otherwise each line gets one reply. When stdout is no terminal (chat | tee
  // log), the prompt and the typed line are on the terminal all the same, and replies go to stdout as they are.
  const bool whole = !out.json() && isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
  const Terminal shown(!out.json() && isatty(STDIN_FILENO) == 1);
  const bool person = shown.fd() >= 0;
  if (common.bundled && !person) out.Note(kBundledModelNote);  // a person is greeted
  PipeScreen pipe(out, person);
  TerminalScreen terminal(out, {.plain = plain_ || IsDumbTerminal(), .status = out.show_progress()});
  const BeforeReply before = [&] {
    if (whole) terminal.Wait();
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
  std::optional<ChatKeyboard> keyboard;
  if (person) {
    keyboard.emplace(
        TerminalInput{.terminal = shown.fd(), .history_file = history_ ? ExpandHome(*history_) : DefaultHistoryFile()});
  }
  ChatScreen& screen = whole ? static_cast<ChatScreen&>(terminal) : pipe;
  ChatSession session(std::move(start), screen);
  if (load_) session.Load(*load_);  // report errors before loading anything large
  session.LoadModel();

  if (keyboard) {
    whole ? terminal.Greet(session.Greeting()) : pipe.Note(session.Greeting());
    if (load_) session.ShowLastTurns();
    return RunTerminal(session, screen, *keyboard) ? kExitOk : kExitInterrupted;
  }
  const bool refused = RunPipe(session, pipe, conversation_.replace_invalid);
  if (Interrupted()) return kExitInterrupted;
  return refused || session.failed() ? kExitFailed : kExitOk;
}

}  // namespace

std::unique_ptr<Command> MakeChat() { return std::make_unique<ChatCommand>(); }

}  // namespace stablelm
