#include "cli/chat/chat_session.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/error_kinds.h"
#include "base/home_folder.h"
#include "cli/app/setting_flags.h"
#include "cli/app/visible_text.h"
#include "cli/generating/conversation_input.h"

namespace stablelm {
namespace {

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin);
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

// Words that are commands of other programs, and here a message.
constexpr std::pair<std::string_view, std::string_view> kBareWords[] = {{"exit", "/exit leaves"},
                                                                        {"quit", "/exit leaves"},
                                                                        {"bye", "/exit leaves"},
                                                                        {"q", "/exit leaves"},
                                                                        {":q", "/exit leaves"},
                                                                        {"clear", "/clear forgets the conversation"},
                                                                        {"help", "/help lists the commands"}};

// Matches "/name" or "/name ...", where the name begins with a letter or is "?". A path such as /usr/bin is a message.
bool SplitCommand(std::string_view input, std::string& name, std::string& arguments) {
  input = Trimmed(input);
  const size_t end = std::min(input.find_first_of(" \t\r\n"), input.size());
  const std::string_view word = input.substr(0, end);
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (word.size() < 2 || word[0] != '/' || word.find('/', 1) != word.npos || !(is_letter(word[1]) || word == "/?")) {
    return false;
  }
  name = word;
  arguments = Trimmed(input.substr(end));
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
      RunCommand(LowerCase(name), arguments, name);
    } else if (!IsBlank(input)) {
      for (const auto& [word, command] : kBareWords) {
        if (LowerCase(Trimmed(input)) != word) continue;
        screen_.Note(Quoted(Trimmed(input)) + " goes to the model as a message; " + std::string(command));
      }
      Ask(input.starts_with("//") ? input.substr(1) : input);
    }
  } catch (const Error& e) {
    failed_ = true;
    screen_.Error(WithChatCommands(e.what()));
  }
  return !ended_;
}

void ChatSession::LoadModel() {
  WarnOfSystemText();
  start_.model.load();
}

void ChatSession::WarnOfSystemText() {
  if (!system_) return;
  const Conversation shortest = {{.role = Role::kSystem, .text = *system_}, {.role = Role::kUser, .text = "?"}};
  const auto tokens = static_cast<int64_t>(builder_.BuildPrompt(shortest).ids.size());
  const ContextLimits limits = Limits();
  if (tokens + limits.reserve <= limits.context) return;
  screen_.Warning("the system text leaves no room for a message: with the shortest one it takes " +
                  Counted(tokens, "token") + "; the context has " + std::to_string(limits.context) + ", and " +
                  std::to_string(limits.reserve) +
                  " of them are kept for the reply. /system TEXT replaces it, /set reserve N keeps fewer");
}

Conversation ChatSession::WholeConversation() const {
  Conversation all;
  if (system_) all.push_back({.role = Role::kSystem, .text = *system_});
  all.insert(all.end(), turns_.begin(), turns_.end());
  return all;
}

void ChatSession::Load(const std::string& typed) {
  const std::string path = ExpandHome(typed);
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
  reply_ids_.clear();
  last_.reset();
  screen_.Note("going on with " + Counted(turns_.size(), "message") +
               (has_system && !start_.model.setup.system_forced ? " and the system text" : "") + " of " + path);
  if (turns_.back().role == Role::kUser) screen_.Note("the last message is yours: /regen answers it");
}

void ChatSession::ShowLastTurns() {
  constexpr size_t kShown = 4;
  if (!screen_.has_input_line() || turns_.empty()) return;
  const size_t shown = std::min(kShown, turns_.size());
  screen_.ShowTurns("/history", std::span(turns_).last(shown));
  if (shown < turns_.size()) {
    screen_.Note("the last " + std::to_string(shown) + " of " + std::to_string(turns_.size()) +
                 " messages; /history shows all");
  }
}

void ChatScreen::ShowTurns(const std::string& command, std::span<const Message> turns) {
  std::string text;
  for (const Message& message : turns) text += std::string(NameOf(message.role)) + ": " + Visible(message.text) + "\n";
  Show(command, text);
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

void ChatSession::WarnOfDropped(const FittedPrompt& fitted) {
  if (fitted.dropped_messages > told_dropped_) {
    screen_.Warning("the context is full: the model no longer sees the oldest " +
                    Counted(fitted.dropped_messages, "message") + " (" + Counted(fitted.dropped_tokens, "token") +
                    "); /reset begins anew");
  }
  told_dropped_ = fitted.dropped_messages;
}

bool ChatSession::Answer() {
  const FittedPrompt fitted = FitPrompt(builder_, WholeConversation(), Limits());
  WarnOfDropped(fitted);
  reply_ids_.clear();
  reply_sample_ = replies_++;
  const bool kept = Generate(fitted, {}, reply_sample_);
  if (kept) {
    turns_.push_back({.role = Role::kAssistant, .text = last_->text});
    reply_ids_ = last_->ids;
  }
  return kept;
}

namespace {

// The ids of the prompt and a reply that outgrew the context with them, less those that its context shifts dropped.
std::vector<int32_t> WithoutShifted(std::span<const int32_t> all, size_t keep, size_t context) {
  std::vector<int32_t> ids;
  for (const int32_t id : all) {
    if (ids.size() == context) {
      const auto first = ids.begin() + static_cast<std::ptrdiff_t>(keep);
      ids.erase(first, first + static_cast<std::ptrdiff_t>((context - keep) / 2));
    }
    ids.push_back(id);
  }
  return ids;
}

}  // namespace

// The prompt of the reply as it was asked for, where the reply can go on behind it; else one of fewer turns.
FittedPrompt ChatSession::FitBegun(const Conversation& question) const {
  ContextLimits limits = Limits();
  const auto begun = static_cast<int64_t>(reply_ids_.size());
  const auto taken = [&](const FittedPrompt& one) { return static_cast<int64_t>(one.prompt.ids.size()) + begun; };
  FittedPrompt fitted = FitPrompt(builder_, question, limits);
  const std::optional<int64_t> keep = KeepOnShift(fitted.prompt, limits.policy);
  const int64_t needed = taken(fitted), context = limits.context;
  if (needed < context || (keep && context - *keep >= 2)) return fitted;
  limits.context -= begun;
  for (const int64_t reserve : {std::max<int64_t>(limits.reserve, 1), int64_t{1}}) {
    limits.reserve = reserve;
    try {
      fitted = FitPrompt(builder_, question, limits);
      if (taken(fitted) < context) return fitted;
    } catch (const PromptTooLong&) {  // even without its older turns
    }
  }
  throw Error({.where = "/continue",
               .what = "the context is full",
               .found = Counted(needed, "token"),
               .expected = "less than " + std::to_string(context),
               .hint = "/reset begins anew, `context_policy=shift` lets it go on"});
}

// The prompt is the one of the reply, and the reply's own ids: what comes is what would have come without the cut.
void ChatSession::Continue(const std::string&) {
  if (turns_.empty() || turns_.back().role != Role::kAssistant) {
    throw Error(
        {.where = "/continue", .what = "there is no reply to continue", .hint = "/regen answers the last message"});
  }
  if (last_ && last_->reason == FinishReason::kStop && !reply_ids_.empty()) {
    throw Error({.where = "/continue", .what = "the last reply is complete", .hint = "/regen answers anew"});
  }
  Message& reply = turns_.back();
  const Tokenizer& tokenizer = start_.model.tokenizer;
  if (reply_ids_.empty()) {  // of a file
    reply_sample_ = replies_++;
  }
  if (reply_ids_.empty() || tokenizer.Decode(reply_ids_) != reply.text) reply_ids_ = tokenizer.Encode(reply.text);
  Conversation question = WholeConversation();
  question.pop_back();
  const FittedPrompt fitted = FitBegun(question);
  WarnOfDropped(fitted);
  if (!Generate(fitted, reply_ids_, reply_sample_)) return;
  reply_ids_.insert(reply_ids_.end(), last_->ids.begin(), last_->ids.end());
  if (last_->stop.string) {
    reply.text += last_->text;
  } else {  // a character that the cut had torn is whole again
    reply.text = tokenizer.Decode(std::span(reply_ids_).first(reply_ids_.size() - (last_->stop.id ? 1 : 0)));
  }
}

bool ChatSession::Generate(const FittedPrompt& fitted, std::span<const int32_t> begun, uint64_t sample) {
  GenerateRequest request;
  plan_.Apply(start_.options.ignore_eos, request);
  request.prompt = fitted.prompt.ids;
  request.prompt.insert(request.prompt.end(), begun.begin(), begun.end());
  request.keep_on_shift = KeepOnShift(fitted.prompt, start_.policy);
  if (const auto context = static_cast<size_t>(start_.model.context);
      request.keep_on_shift && request.prompt.size() > context) {
    const size_t all = request.prompt.size();
    request.prompt = WithoutShifted(request.prompt, static_cast<size_t>(*request.keep_on_shift), context);
    screen_.Warning("the context is full: the oldest " + std::to_string(all - request.prompt.size()) +
                    " tokens behind the first " + std::to_string(*request.keep_on_shift) +
                    " are dropped, and what comes is approximate");
  }
  request.begun = static_cast<int64_t>(std::min(begun.size(), request.prompt.size()));
  request.seed = start_.seed;
  request.sample = sample;
  request.tokenizer = start_.model.tokenizer;
  GenerateResult result;
  try {
    result = start_.model.reply(request, [this](std::string_view piece) { screen_.ReplyText(piece); });
  } catch (...) {
    screen_.AbandonReply();
    throw;
  }
  last_ = std::move(result);
  last_prompt_ = static_cast<int64_t>(request.prompt.size());
  total_generated_ += static_cast<int64_t>(last_->ids.size());
  total_decode_s_ += last_->decode_s;
  // After Ctrl-C, keep the partial reply. If it is empty, remove the user's message, so that turns still alternate.
  const bool kept = last_->reason != FinishReason::kCancelled || !last_->text.empty() || !begun.empty();
  const int64_t used =
      last_prompt_ + static_cast<int64_t>(last_->ids.size()) - last_->shifted_tokens;  // of the context
  screen_.EndReply({.result = *last_,
                    .seed = request.seed,
                    .sample = request.sample,
                    .prompt_tokens = last_prompt_,
                    .context = start_.model.context,
                    .full = start_.policy != ContextPolicy::kShift && used >= start_.model.context,
                    .dropped_messages = fitted.dropped_messages,
                    .dropped_tokens = fitted.dropped_tokens},
                   kept);
  if (last_->shifts > 0) screen_.Warning(ShiftText(*last_));
  return kept;
}

}  // namespace stablelm
