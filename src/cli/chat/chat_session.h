// A chat session: holds the conversation and the current settings, and handles each line of input.
//
// It depends on neither model nor terminal: a function generates replies, and a ChatScreen shows them. Tests, pipes,
// terminals and --json all use this one class.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/generating/generation_options.h"
#include "cli/terminal/completion.h"
#include "generate/generator.h"
#include "prompt/chat_setup.h"
#include "prompt/context_policy.h"
#include "prompt/conversation.h"
#include "prompt/prompt_builder.h"

namespace stablelm {

// A finished reply and facts about it.
struct ChatReply {
  const GenerateResult& result;
  uint64_t seed = 0, sample = 0;
  int64_t prompt_tokens = 0;
  int64_t context = 0;  // context length of the chat, in tokens
  bool full = false;    // the reply cannot go on: nothing of the context is left
  size_t dropped_messages = 0;
  int64_t dropped_tokens = 0;
};

// Shows a chat. Texts may contain anything; the screen must keep control characters from a terminal.
class ChatScreen {
 public:
  virtual ~ChatScreen() = default;
  virtual void ReplyText(std::string_view piece) = 0;  // whole characters
  // Called after every reply, also a stopped or empty one. `kept`: the conversation keeps the reply.
  virtual void EndReply(const ChatReply& reply, bool kept) = 0;
  // Called when an error ended the reply.
  virtual void AbandonReply() = 0;
  // Shows the output of a command, in whole lines. `text` is safe to print and may contain colours.
  virtual void Show(const std::string& command, const std::string& text) = 0;
  virtual void Note(const std::string& text) = 0;
  // A note that answers a command: --quiet does not hide it.
  virtual void Answer(const std::string& text) { Note(text); }
  virtual void Warning(const std::string& text) = 0;
  virtual void Error(const std::string& text) = 0;
  virtual bool color() const { return false; }
  // Shows messages of the conversation, the system text left out, as output of a command.
  virtual void ShowTurns(const std::string& command, std::span<const Message> turns);
  // Whether a person edits lines of input, so that the session may leave a draft (ChatSession::TakeDraft).
  virtual bool has_input_line() const { return false; }
  virtual bool has_editor() const { return false; }
  // Lets the user edit a text in an editor. Returns no value when there is no editor or the user cancels.
  virtual std::optional<std::string> Edit(const std::string& text) {
    static_cast<void>(text);
    return std::nullopt;
  }
};

// Generates the reply to a request; `on_text` as in ReplyCallbacks.
using ReplyFunction =
    std::function<GenerateResult(const GenerateRequest& request, const std::function<void(std::string_view)>& on_text)>;

// A model to chat with, opened but not loaded: everything else about the chat is checked before the weights are loaded.
struct ChatModel {
  std::string name;      // for /show
  bool bundled = false;  // the model that comes with the program, as it is
  ModelConfig config;
  Tokenizer tokenizer;
  ModelDefaults defaults = {};
  ChatSetup setup = {};
  int64_t context = 0;              // context length of the chat (prompt and reply) in tokens, at most the model's
  std::function<void()> load = {};  // before the first reply; throws Error
  // Of the loaded model: size, types, memory ("3.6 B parameters, Q4_K, 2.1 GB").
  std::function<std::string()> facts = {};
  ReplyFunction reply = {};
};

struct ChatStart {
  ChatModel model;
  ContextPolicy policy = ContextPolicy::kError;
  std::optional<int64_t> reserve = {};  // empty: the policy's default
  GenerationOptions options = {};
  uint64_t seed = 0;
  // Opens the model that /model names. Throws Error.
  std::function<ChatModel(const std::string& path)> open = {};
};

struct ChatCommandHelp {
  std::string name;       // "/set"; with its other names, "/exit, /quit"
  std::string arguments;  // "NAME VALUE"
  std::string help;
};

class ChatSession {
 public:
  // Throws Error like PromptBuilder and PlanGeneration. `screen` must outlive the session.
  ChatSession(ChatStart start, ChatScreen& screen);

  // Loads the model. Call once, before the first Handle; Load may be called earlier. Warns of a system text that leaves
  // no room for a message.
  void LoadModel();
  // Says in one line what was loaded.
  std::string Greeting() const;

  // Handles one input: a message, or a command such as "/help" ("//" begins a message with one slash). Whatever begins
  // with a slash and a letter and is no path is a command, known or not. Shows errors.
  // Returns false when the chat is over.
  bool Handle(const std::string& input);
  // What the next line of input begins with, for the user to change: /edit without an editor. Empty: nothing.
  std::string TakeDraft() { return std::exchange(draft_, {}); }
  // Resumes the conversation of a file. Uses its system message unless a flag gave one. Throws Error.
  void Load(const std::string& typed);
  // Shows the end of the conversation to a person who resumes it.
  void ShowLastTurns();

  bool failed() const { return failed_; }  // whether any input failed
  // Starts with the system message, if there is one.
  Conversation WholeConversation() const;

  static std::vector<ChatCommandHelp> Commands();
  // Completions of the last word of `line`, the beginning of a command: names of commands, settings and files.
  static Completion Complete(const std::string& line);

 private:
  struct CommandEntry;
  static std::span<const CommandEntry> Table();
  static std::vector<std::string> CommandNames();
  void RunCommand(const std::string& name, const std::string& arguments, const std::string& typed);
  void Help(const std::string& arguments);
  void Reset(const std::string& arguments);
  void System(const std::string& arguments);
  void Set(const std::string& arguments);
  void ShowAll(const std::string& arguments);
  void Regenerate(const std::string& arguments);
  void Continue(const std::string& arguments);
  void Undo(const std::string& arguments);
  void EditLast(const std::string& arguments);
  void Save(const std::string& arguments);
  void LoadCommand(const std::string& arguments);
  void Model(const std::string& arguments);
  void Tokens(const std::string& arguments);
  void ShowPrompt(const std::string& arguments);
  void History(const std::string& arguments);
  void Stats(const std::string& arguments);
  void Exit(const std::string& arguments);

  void Ask(std::string text);
  // Answers the last message, which is the user's. Returns false when no reply was kept; the turns are unchanged then.
  bool Answer();
  void AnswerAgain(Conversation otherwise);  // Answer; restores `otherwise` after an error or without a reply
  FittedPrompt FitBegun(const Conversation& question) const;  // of a reply to go on with, of reply_ids_
  // Generates from the prompt and `begun`, the ids of a reply to go on with. Returns whether there is a reply.
  bool Generate(const FittedPrompt& fitted, std::span<const int32_t> begun, uint64_t sample);
  void WarnOfSystemText();
  void WarnOfDropped(const FittedPrompt& fitted);
  std::string SourceOf(const ResolvedSetting& setting) const;  // as the user knows it
  GenerationPlan PlanFor(const ChatModel& model, const GenerationOptions& options) const;
  void PlanAgain(GenerationOptions options);
  ContextLimits Limits() const {
    return LimitsFor(start_.policy, start_.reserve, start_.model.context, start_.model.config.max_positions);
  }
  Prompt PromptNow() const;
  std::string PlanText() const;
  std::string ModelText() const;

  ChatStart start_;
  ChatScreen& screen_;
  PromptBuilder builder_;
  GenerationPlan plan_;
  std::optional<std::string> system_;
  std::string system_from_;
  bool system_is_users_;     // the system text is not the model's default, so /model keeps it
  Conversation turns_;       // without the system message
  uint64_t replies_ = 0;     // replies requested so far; the next reply's sample number
  size_t told_dropped_ = 0;  // dropped messages already reported
  std::string file_;         // last file saved or loaded
  std::string draft_;
  std::set<std::string> set_here_;  // names that /set has changed
  std::optional<GenerateResult> last_;
  // The last reply, as far as its ids and text are those of the last turn.
  std::vector<int32_t> reply_ids_;
  uint64_t reply_sample_ = 0;
  int64_t last_prompt_ = 0;
  int64_t total_generated_ = 0;
  double total_decode_s_ = 0;
  bool ended_ = false;
  bool failed_ = false;
};

}  // namespace stablelm
