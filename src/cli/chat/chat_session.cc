#include "cli/chat/chat_session.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "cli/app/setting_flags.h"
#include "cli/generating/conversation_input.h"

namespace stablelm {
namespace {

bool IsBlank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

// Matches "/name" or "/name ..." with a name of lower-case letters only. A path such as /usr/bin is a message.
bool SplitCommand(const std::string& input, std::string& name, std::string& arguments) {
  if (!input.starts_with("/")) return false;
  const size_t end = input.find_first_of(" \t\r\n");
  name = input.substr(0, end);
  if (name.size() < 2 || !std::all_of(name.begin() + 1, name.end(), [](char c) { return c >= 'a' && c <= 'z'; })) {
    return false;
  }
  const size_t begin = end == std::string::npos ? end : input.find_first_not_of(" \t\r\n", end);
  arguments = begin == std::string::npos ? "" : input.substr(begin, input.find_last_not_of(" \t\r\n") + 1 - begin);
  return true;
}

}  // namespace

ChatSession::ChatSession(ChatStart start, ChatScreen& screen)
    : start_(std::move(start)),
      screen_(screen),
      builder_(start_.model.tokenizer, start_.model.setup.prompt_template),
      system_(start_.model.setup.system),
      system_from_(start_.model.setup.system_from),
      system_is_users_(start_.model.setup.system_forced) {
  PlanAgain(start_.options);
}

bool ChatSession::Handle(const std::string& input) {
  try {
    std::string name, arguments;
    if (SplitCommand(input, name, arguments)) {
      RunCommand(name, arguments);
    } else if (!IsBlank(input)) {
      Ask(input.starts_with("//") ? input.substr(1) : input);
    }
  } catch (const Error& e) {
    failed_ = true;
    screen_.Error(WithChatCommands(e.what()));
  }
  return !ended_;
}

Conversation ChatSession::WholeConversation() const {
  Conversation all;
  if (system_) all.push_back({.role = Role::kSystem, .text = *system_});
  all.insert(all.end(), turns_.begin(), turns_.end());
  return all;
}

void ChatSession::Load(const std::string& path) {
  Conversation loaded = ParseMessages(ReadFileOrPipe(path), path);
  const bool has_system = loaded.front().role == Role::kSystem;
  if (has_system && !start_.model.setup.system_forced) {
    system_ = loaded.front().text;
    system_from_ = path;
    system_is_users_ = true;
  }
  if (has_system) loaded.erase(loaded.begin());
  turns_ = std::move(loaded);
  told_dropped_ = 0;
  file_ = path;
  screen_.Note("going on with " + std::to_string(turns_.size()) + " messages of " + path);
  if (turns_.back().role == Role::kUser) screen_.Note("the last message is yours: /regen answers it");
}

GenerationPlan ChatSession::PlanFor(const ChatModel& model, const GenerationOptions& options) const {
  return PlanGeneration(options, model.config, &model.tokenizer, model.defaults, model.setup.prompt_template);
}

void ChatSession::PlanAgain(GenerationOptions options) {
  plan_ = PlanFor(start_.model, options);
  start_.options = std::move(options);
}

void ChatSession::Ask(std::string text) {
  if (!turns_.empty() && turns_.back().role == Role::kUser) {
    throw Error({.where = "the last message is yours and has no answer",
                 .what = "two messages in a row cannot be sent",
                 .hint = "/regen answers it, /undo takes it back"});
  }
  Conversation before = turns_;
  turns_.push_back({.role = Role::kUser, .text = std::move(text)});
  AnswerAgain(std::move(before));
}

void ChatSession::AnswerAgain(Conversation otherwise) {
  try {
    if (!Answer()) turns_ = std::move(otherwise);
  } catch (...) {
    turns_ = std::move(otherwise);
    throw;
  }
}

bool ChatSession::Answer() {
  const FittedPrompt fitted = FitPrompt(builder_, WholeConversation(), Limits());
  if (fitted.dropped_messages > told_dropped_) {
    screen_.Warning("the context is full: the model no longer sees the oldest " +
                    std::to_string(fitted.dropped_messages) + " messages (" + std::to_string(fitted.dropped_tokens) +
                    " tokens)");
  }
  told_dropped_ = fitted.dropped_messages;
  GenerateRequest request;
  plan_.Apply(start_.options.ignore_eos, request);
  request.prompt = fitted.prompt.ids;
  request.keep_on_shift = KeepOnShift(fitted.prompt, start_.policy);
  request.seed = start_.seed;
  request.sample = replies_++;
  request.tokenizer = start_.model.tokenizer;
  try {
    last_ = start_.model.reply(request, [this](std::string_view piece) { screen_.ReplyText(piece); });
  } catch (...) {
    screen_.AbandonReply();
    throw;
  }
  last_prompt_ = static_cast<int64_t>(request.prompt.size());
  total_generated_ += static_cast<int64_t>(last_->ids.size());
  total_decode_s_ += last_->decode_s;
  // After Ctrl-C, keep the partial reply. If it is empty, remove the user's message, so that turns still alternate.
  const bool kept = last_->reason != FinishReason::kCancelled || !last_->text.empty();
  if (kept) turns_.push_back({.role = Role::kAssistant, .text = last_->text});
  screen_.EndReply({.result = *last_,
                    .seed = request.seed,
                    .sample = request.sample,
                    .prompt_tokens = last_prompt_,
                    .context = start_.model.context,
                    .dropped_messages = fitted.dropped_messages,
                    .dropped_tokens = fitted.dropped_tokens},
                   kept);
  if (last_->shifts > 0) screen_.Warning(ShiftText(*last_));
  return kept;
}

}  // namespace stablelm
