// A chat: the conversation, what a line of input does to it, and what is in force.
//
// It knows neither model nor terminal: replies come from a function, and what there is to show goes to a ChatScreen. So
// it can be tested, and a pipe, a terminal and --json share it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/generating/generation_options.h"
#include "generate/generator.h"
#include "prompt/chat_setup.h"
#include "prompt/context_policy.h"
#include "prompt/conversation.h"
#include "prompt/prompt_builder.h"

namespace stablelm {

// What is worth knowing about a reply beside its text.
struct ChatReply {
  const GenerateResult& result;
  uint64_t seed = 0, sample = 0;
  int64_t prompt_tokens = 0;
  int64_t context = 0;  // positions of the chat
  size_t dropped_messages = 0;
  int64_t dropped_tokens = 0;
};

// Where a chat is shown. Texts may hold anything: it is for the screen to keep control characters from a terminal.
class ChatScreen {
 public:
  virtual ~ChatScreen() = default;
  virtual void ReplyText(std::string_view piece) = 0;  // whole characters
  // After every reply, also one that was stopped or of which no text came; `kept` says that the chat goes on with it.
  virtual void EndReply(const ChatReply& reply, bool kept) = 0;
  // After a reply that an error ended.
  virtual void AbandonReply() = 0;
  // What a command was asked for, whole lines. `text` is safe to print and may hold colours.
  virtual void Show(const std::string& command, const std::string& text) = 0;
  virtual void Note(const std::string& text) = 0;
  virtual void Warning(const std::string& text) = 0;
  virtual void Error(const std::string& text) = 0;
  virtual bool color() const { return false; }
  // Lets the user change a text, in an editor; no value when there is none, or when the user left it.
  virtual std::optional<std::string> Edit(const std::string& text) {
    static_cast<void>(text);
    return std::nullopt;
  }
};

// Generates the reply to a request; `on_text` as in ReplyCallbacks.
using ReplyFunction =
    std::function<GenerateResult(const GenerateRequest& request, const std::function<void(std::string_view)>& on_text)>;

// A model to talk to. Opened is not loaded: first everything else about a chat with it is checked.
struct ChatModel {
  std::string name;  // for /show
  ModelConfig config;
  Tokenizer tokenizer;
  ModelDefaults defaults = {};
  ChatSetup setup = {};
  int64_t context = 0;              // positions of the chat, prompt and reply together: at most the model's
  std::function<void()> load = {};  // before the first reply; throws Error
  ReplyFunction reply = {};
};

struct ChatStart {
  ChatModel model;
  ContextPolicy policy = ContextPolicy::kError;
  std::optional<int64_t> reserve = {};  // empty: as the policy says
  GenerationOptions options = {};
  uint64_t seed = 0;
  // Opens the model that /model names. Throws Error.
  std::function<ChatModel(const std::string& path)> open = {};
};

struct ChatCommandHelp {
  std::string name;       // "/set"
  std::string arguments;  // "NAME VALUE"
  std::string help;
};

class ChatSession {
 public:
  // Throws Error as PromptBuilder and PlanGeneration. `screen` outlives the session.
  ChatSession(ChatStart start, ChatScreen& screen);

  // Loads the model. Call once, before the first Handle; Load may come before.
  void LoadModel() { start_.model.load(); }

  // One input: a message, or a command such as "/help" ("//" begins a message with one slash). Errors are shown.
  // Returns false when the chat is over.
  bool Handle(const std::string& input);
  // Goes on with the conversation of a file; its system message counts, unless a flag gave one. Throws Error.
  void Load(const std::string& path);

  bool failed() const { return failed_; }  // whether any input failed
  // The system message first, when there is one.
  Conversation WholeConversation() const;

  static std::vector<ChatCommandHelp> Commands();
  // What could stand in place of `line`, which begins a command: whole lines, for completion.
  static std::vector<std::string> Completions(const std::string& line);

 private:
  struct CommandEntry;
  static std::span<const CommandEntry> Table();
  void RunCommand(const std::string& name, const std::string& arguments);
  void Help(const std::string& arguments);
  void Reset(const std::string& arguments);
  void System(const std::string& arguments);
  void Set(const std::string& arguments);
  void ShowAll(const std::string& arguments);
  void Regenerate(const std::string& arguments);
  void Undo(const std::string& arguments);
  void EditLast(const std::string& arguments);
  void Save(const std::string& arguments);
  void LoadCommand(const std::string& arguments);
  void Model(const std::string& arguments);
  void Tokens(const std::string& arguments);
  void ShowPrompt(const std::string& arguments);
  void Stats(const std::string& arguments);
  void Exit(const std::string& arguments);

  void Ask(std::string text);
  // Answers the last message, the user's. Returns false when nothing came of it: the conversation is as before.
  bool Answer();
  void AnswerAgain(Conversation otherwise);  // Answer, or back to `otherwise`
  GenerationPlan PlanFor(const ChatModel& model, const GenerationOptions& options) const;
  void PlanAgain(GenerationOptions options);
  ContextLimits Limits() const { return LimitsFor(start_.policy, start_.reserve, start_.model.context); }
  Prompt PromptNow() const;
  std::string PlanText() const;
  std::string ModelText() const;

  ChatStart start_;
  ChatScreen& screen_;
  PromptBuilder builder_;
  GenerationPlan plan_;
  std::optional<std::string> system_;
  std::string system_from_;
  bool system_is_users_;     // the system text is not the model's own: another model keeps it
  Conversation turns_;       // without the system message
  uint64_t replies_ = 0;     // requested so far: the next reply's sample number
  size_t told_dropped_ = 0;  // messages whose dropping was said
  std::string file_;         // last saved to or loaded from
  std::optional<GenerateResult> last_;
  int64_t last_prompt_ = 0;
  int64_t total_generated_ = 0;
  double total_decode_s_ = 0;
  bool ended_ = false;
  bool failed_ = false;
};

}  // namespace stablelm
