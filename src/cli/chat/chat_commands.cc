// The slash commands of a chat, which /help lists.
#include <algorithm>
#include <filesystem>
#include <iterator>
#include <sstream>

#include "base/atomic_file.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/home_folder.h"
#include "base/json_value.h"
#include "base/nearest.h"
#include "base/random.h"
#include "base/system.h"
#include "cli/app/bundled_model.h"
#include "cli/app/habits.h"
#include "cli/app/visible_text.h"
#include "cli/chat/chat_completion.h"
#include "cli/chat/chat_session.h"
#include "cli/generating/conversation_input.h"
#include "cli/generating/prompt_text.h"

namespace stablelm {
namespace {

constexpr const char* kWriteFirst = "write a message first";

[[noreturn]] void FailCommand(const std::string& where, const std::string& what, const std::string& hint) {
  throw Error({.where = where, .what = what, .hint = hint});
}

std::string Line(std::string name, const std::string& value, const std::string& from = {}) {
  name.resize(std::max<size_t>(name.size() + 2, 20), ' ');
  std::string line = name + value;
  if (!from.empty()) {
    line.resize(std::max<size_t>(line.size() + 2, 44), ' ');
    line += from;
  }
  return line + "\n";
}

std::string WithLineEnd(std::string text) {
  if (text.empty() || text.back() != '\n') text += '\n';
  return text;
}

std::string WithUnderscores(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

ContextPolicy ParseContextPolicy(const std::string& value, const std::string& where) {
  if (const std::optional<ContextPolicy> policy = ContextPolicyOf(value)) return *policy;
  FailCommand(where, "unknown context policy " + Quoted(value), "one of " + Joined(ContextPolicyNames()));
}

// "top_k" of "--top-k".
std::string SettingOf(std::string_view option) {
  return WithUnderscores(std::string(option.substr(std::min(option.find_first_not_of('-'), option.size()))));
}

bool CanSet(std::string_view option) {
  const std::string name = SettingOf(option);
  return FindSetting(name) || std::ranges::find(kChatSettings, name) != std::end(kChatSettings);
}

// What to do about a name that /set does not have. `option`: the name as an option, "--num-ctx".
std::string HintForName(const std::string& option) {
  // Those of chat's options that hold for the whole of it.
  constexpr const char* kAtTheStart[] = {
      "--context",  "--template", "--stop", "--stop-id", "--max-time", "--ignore-eos", "--threads",       "--dtype",
      "--quantize", "--compute",  "--kv",   "--lora",    "--history",  "--logit-bias", "--sampler-order", "--plain"};
  const Habit* habit = FindHabit(option, "chat", [](std::string_view) { return true; });
  if (habit && habit->kind != HabitKind::kOption) return std::string(habit->reason);
  const std::string ours(habit ? habit->option : option);
  if (ours == "--system") return "/system TEXT changes it";
  if (ours == "--greedy") return "/set preset greedy";
  if (ours == "--model") return "/model PATH goes on with another one";
  if (std::ranges::find(kAtTheStart, ours) != std::end(kAtTheStart))
    return "stablelm chat " + ours + " sets it at the start";
  std::vector<std::string> names = SettingNames();
  names.insert(names.end(), std::begin(kChatSettings), std::end(kChatSettings));
  return DidYouMean(SettingOf(option), names, "/show lists them");
}

// Of "NAME VALUE" or "NAME=VALUE": our name of the setting, and the value as we write it. The names and values of other
// programs' options hold here too. Throws Error for another name.
std::pair<std::string, std::string> NameAndValue(std::string_view words) {
  if (words.starts_with("parameter ")) words.remove_prefix(words.find_first_not_of(' ', words.find(' ')));  // Ollama's
  const size_t space = words.find_first_of(" \t=");
  const std::string typed(words.substr(0, space));
  const size_t begin = space == words.npos ? space : words.find_first_not_of(" \t=", space);
  const std::string value(begin == words.npos ? "" : words.substr(begin));
  std::string option = typed;
  std::ranges::replace(option, '_', '-');
  if (!option.starts_with('-')) option.insert(0, "--");
  const Habit* habit = FindHabit(option, "chat", CanSet);
  if (habit && habit->kind != HabitKind::kOption) habit = nullptr;
  if (!CanSet(option) && !habit) FailCommand("/set", "unknown setting " + Quoted(typed), HintForName(option));
  const std::string name = SettingOf(CanSet(option) ? std::string_view(option) : habit->option);
  return {name, habit && !value.empty() ? HabitValueOf(*habit, value).value_or("default") : value};
}

}  // namespace

struct ChatSession::CommandEntry {
  const char* name;
  const char* others;  // other names, separated by spaces
  const char* arguments;
  const char* help;
  void (ChatSession::*run)(const std::string&);
};

std::span<const ChatSession::CommandEntry> ChatSession::Table() {
  static constexpr CommandEntry kTable[] = {
      {"/help", "/?", "", "show this list", &ChatSession::Help},
      {"/reset", "/clear", "", "forget the conversation; system text and settings stay", &ChatSession::Reset},
      {"/system", "", "[TEXT|@FILE|none]", "show or change the system text; the conversation stays",
       &ChatSession::System},
      {"/set", "", "[NAME [VALUE]]", "show or change a setting; \"default\" undoes a change", &ChatSession::Set},
      {"/show", "", "", "what is in force, and where it comes from", &ChatSession::ShowAll},
      {"/regen", "", "", "answer the last message anew", &ChatSession::Regenerate},
      {"/continue", "", "", "continue a reply that was cut or stopped", &ChatSession::Continue},
      {"/undo", "", "", "take the last message and its answer back", &ChatSession::Undo},
      {"/edit", "", "[TEXT]", "change the last message (no TEXT: in $EDITOR), answer it", &ChatSession::EditLast},
      {"/history", "", "", "show the whole conversation", &ChatSession::History},
      {"/save", "", "FILE", "write the conversation as JSON (OpenAI's messages)", &ChatSession::Save},
      {"/load", "", "FILE", "go on with the conversation of a file", &ChatSession::LoadCommand},
      {"/model", "", "[PATH]", "show the model, or go on with another one", &ChatSession::Model},
      {"/tokens", "", "", "tokens of each message, and how many are left", &ChatSession::Tokens},
      {"/prompt", "", "", "the prompt as the model sees it", &ChatSession::ShowPrompt},
      {"/stats", "", "", "speed and memory", &ChatSession::Stats},
      {"/exit", "/quit /bye", "", "leave (as Ctrl-D)", &ChatSession::Exit},
  };
  return kTable;
}

std::vector<ChatCommandHelp> ChatSession::Commands() {
  std::vector<ChatCommandHelp> all;
  for (const CommandEntry& entry : Table()) {
    std::string names = entry.name;
    std::istringstream others(entry.others);
    for (std::string other; others >> other;) names += ", " + other;
    all.push_back({names, entry.arguments, entry.help});
  }
  return all;
}

std::vector<std::string> ChatSession::CommandNames() {
  std::vector<std::string> names;
  for (const CommandEntry& entry : Table()) {
    names.emplace_back(entry.name);
    std::istringstream others(entry.others);
    for (std::string other; others >> other;) names.push_back(other);
  }
  return names;
}

// `typed`: the name in the user's upper and lower case, for errors.
void ChatSession::RunCommand(const std::string& name, const std::string& arguments, const std::string& typed) {
  for (const CommandEntry& entry : Table()) {
    std::istringstream others(entry.others);
    if (name != entry.name &&
        std::find(std::istream_iterator<std::string>(others), {}, name) == std::istream_iterator<std::string>()) {
      continue;
    }
    if (!arguments.empty() && *entry.arguments == 0) {
      FailCommand(typed, "takes nothing after it",
                  "a message that begins with a slash is written with two: /" + typed + " ...");
    }
    return (this->*entry.run)(arguments);
  }
  // Other programs' names.
  constexpr std::pair<std::string_view, std::string_view> kElsewhere[] = {
      {"/regenerate", "/regen"}, {"/retry", "/regen"}, {"/redo", "/regen"}, {"/new", "/reset"}, {"/forget", "/reset"}};
  for (const auto& [other, ours] : kElsewhere) {
    if (name == other) FailCommand(typed, "unknown command", "did you mean " + std::string(ours) + "?");
  }
  FailCommand(typed, "unknown command",
              DidYouMean(name, CommandNames(),
                         "/help lists the commands; a message that begins with a slash is written with two"));
}

void ChatSession::Help(const std::string&) {
  std::string text;
  for (const ChatCommandHelp& one : Commands()) {
    text += Line(one.name + (one.arguments.empty() ? "" : " " + one.arguments), "", "");
    text.pop_back();
    text.resize(text.find_last_not_of(' ') + 1);
    const size_t line = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
    text.resize(std::max(text.size() + 2, line + 28), ' ');
    text += one.help + "\n";
  }
  text +=
      "\nAnything else is a message. On a terminal: \"\"\" begins and ends one of several lines, a \\ at the end of a "
      "line goes on, Ctrl-C stops a reply and keeps what has come, Ctrl-D leaves.\n";
  if (start_.model.bundled) text += "\n" + std::string(kAboutBundledModel);
  screen_.Show("/help", text);
}

void ChatSession::Reset(const std::string&) {
  turns_.clear();
  reply_ids_.clear();
  told_dropped_ = 0;
  screen_.Answer("the conversation is forgotten");
}

void ChatSession::System(const std::string& arguments) {
  if (arguments.empty()) {
    screen_.Show("/system", system_ ? WithLineEnd(Visible(*system_)) : "no system text\n");
    return;
  }
  if (arguments == "none") {
    system_.reset();
  } else {
    system_ = SystemTextOf(arguments, "/system", false);
  }
  system_from_ = "/system";
  system_is_users_ = true;
  screen_.Answer(system_ ? "the system text is changed" : "no system text from now on");
  WarnOfSystemText();
}

void ChatSession::Set(const std::string& arguments) {
  if (arguments.empty()) return screen_.Show("/set", PlanText());
  const auto [name, value] = NameAndValue(arguments);
  const std::string where = "/set " + name;
  GenerationOptions options = start_.options;
  const std::optional<SettingSpec> spec = FindSetting(name);
  if (name == "seed") {
    if (!value.empty()) {
      start_.seed = value == "default" ? RandomSeed() : ParseUnsigned(value, where, 0, UINT64_MAX);
      replies_ = 0;
      set_here_.insert(name);
    }
    return screen_.Show("/set", Line("seed", std::to_string(start_.seed)));
  }
  if (name == "reserve") {
    if (value == "default") {
      start_.reserve.reset();
    } else if (!value.empty()) {
      start_.reserve = ParseInteger(value, where, 0, start_.model.context - 1);
    }
    if (!value.empty()) set_here_.insert(name);
    return screen_.Show("/set", Line("reserve", std::to_string(Limits().reserve)));
  }
  if (name == "context_policy") {
    if (!value.empty()) {
      start_.policy = ParseContextPolicy(value, where);
      set_here_.insert(name);
    }
    return screen_.Show("/set", Line("context_policy", NameOf(start_.policy)));
  }
  if (name == "preset") {
    if (!value.empty()) {
      const std::optional<Preset> preset = PresetOf(value);
      if (!preset && value != "default") {
        FailCommand(where, "unknown preset " + Quoted(value), "one of " + Joined(PresetNames()) + ", or default");
      }
      options.settings.preset = preset;
      // The preset now decides how tokens are sampled. Settings that it does not cover (lengths, penalties) stay.
      std::erase_if(options.settings.values, [](const auto& option) {
        return option.first == "do_sample" || FindSetting(option.first)->sampling_only;
      });
      options.greedy = false;
      PlanAgain(std::move(options));
      std::erase_if(set_here_,
                    [](const std::string& one) { return FindSetting(one) && FindSetting(one)->sampling_only; });
      set_here_.insert(name);
    }
    return screen_.Show("/set", PlanText());
  }
  if (value == "default") {
    options.settings.values.erase(name);
  } else if (!value.empty()) {
    options.settings.values[name] = ParseSettingValue(*spec, value, where);
    if (spec->sampling_only) options.greedy = false;  // this setting overrides an earlier --greedy
  }
  PlanAgain(std::move(options));
  if (!value.empty()) set_here_.insert(name);
  for (const ResolvedSetting& one : plan_.settings.list) {
    if (one.name == name) return screen_.Show("/set", Line(name, ShownValue(*spec, one.value), SourceOf(one)));
  }
  screen_.Show("/set", Line(name, "not set"));
}

std::string ChatSession::SourceOf(const ResolvedSetting& setting) const {
  if (setting.from == "option") {
    if (set_here_.contains(setting.name)) return "/set";
    if (start_.options.settings.values.contains(setting.name)) {
      std::string flag = "--" + setting.name;
      std::replace(flag.begin(), flag.end(), '_', '-');
      return flag;
    }
    return "implied by other settings";
  }
  constexpr std::string_view kPreset = "--preset";
  if (setting.from.starts_with(kPreset) && set_here_.contains("preset")) {
    return "/set preset" + setting.from.substr(kPreset.size());
  }
  return setting.from;
}

std::string ChatSession::PlanText() const {
  const auto set_here = [&](const char* name) { return set_here_.contains(name) ? "/set; " : ""; };
  std::string text;
  for (const ResolvedSetting& one : plan_.settings.list) {
    text += Line(one.name, ShownValue(*FindSetting(one.name), one.value), SourceOf(one));
  }
  text +=
      Line("seed", std::to_string(start_.seed), set_here("seed") + ("reply " + std::to_string(replies_)) + " is next");
  text += Line("context_policy", NameOf(start_.policy),
               std::string(set_here_.contains("context_policy") || set_here_.contains("reserve") ? "/set; " : "") +
                   std::to_string(Limits().reserve) + " positions for the reply");
  return text;
}

std::string ChatSession::Greeting() const {
  if (start_.model.bundled) {
    return "A small demonstration model that comes with stablelm; it knows little. Try \"What can you do?\". "
           "/help lists the commands and tells of larger models";
  }
  std::string name = std::filesystem::path(start_.model.name).filename().string();
  if (name.empty() || name == ".") name = start_.model.name;  // "models/"
  return name + (start_.model.facts ? ": " + start_.model.facts() : "") + ", context " +
         std::to_string(start_.model.context) + ", template " + NameOf(start_.model.setup.prompt_template) +
         "; /help lists the commands";
}

std::string ChatSession::ModelText() const {
  const int64_t context = start_.model.context, most = start_.model.config.max_positions;
  return Line("model", start_.model.name,
              std::to_string(context) + (context < most ? " of " + std::to_string(most) : "") + " positions" +
                  (start_.model.bundled ? "; the demonstration that comes with stablelm" : ""));
}

void ChatSession::ShowAll(const std::string&) {
  std::string text = ModelText();
  text += Line("template", NameOf(start_.model.setup.prompt_template), start_.model.setup.template_from);
  text += Line("system", system_ ? Quoted(*system_, 48) : "none", system_from_ == "none" ? "" : system_from_);
  text += PlanText();
  std::string stops;
  for (const StopId& stop : plan_.stop_ids) {
    const std::string_view token = start_.model.tokenizer.TokenSpelling(stop.id);
    stops += (stops.empty() ? "" : ", ") + (token.empty() ? std::to_string(stop.id) : Visible(token));
  }
  text += Line(start_.options.ignore_eos ? "never produced" : "a reply ends at", stops);
  text += Line("messages", std::to_string(turns_.size()));
  screen_.Show("/show", text);
}

void ChatSession::Regenerate(const std::string&) {
  if (turns_.empty()) FailCommand("/regen", "there is no message to answer", kWriteFirst);
  const Conversation before = turns_;
  if (turns_.back().role == Role::kAssistant) turns_.pop_back();
  AnswerAgain(before);
}

void ChatSession::Undo(const std::string&) {
  if (turns_.empty()) FailCommand("/undo", "there is nothing to take back", kWriteFirst);
  if (turns_.back().role == Role::kAssistant) turns_.pop_back();
  const std::string text = turns_.back().text;
  turns_.pop_back();
  reply_ids_.clear();
  told_dropped_ = 0;
  screen_.Answer("taken back: " + Quoted(text, 60));
}

void ChatSession::EditLast(const std::string& arguments) {
  if (turns_.empty()) FailCommand("/edit", "there is no message to change", kWriteFirst);
  if (arguments.empty() && !screen_.has_editor() && screen_.has_input_line()) {
    draft_ = "/edit " + (turns_.back().role == Role::kUser ? turns_.back() : turns_[turns_.size() - 2]).text;
    return;
  }
  const Conversation before = turns_;
  if (turns_.back().role == Role::kAssistant) turns_.pop_back();
  std::optional<std::string> text = arguments;
  if (arguments.empty()) text = screen_.Edit(turns_.back().text);
  if (!text || text->find_first_not_of(" \t\r\n") == std::string::npos) {
    turns_ = before;
    FailCommand("/edit", "nothing was changed",
                "/edit TEXT gives the new text at once; without TEXT $EDITOR is opened");
  }
  turns_.back().text = *text;
  AnswerAgain(before);
}

void ChatSession::Save(const std::string& arguments) {
  const std::string path = ExpandHome(arguments);
  if (path.empty()) FailCommand("/save", "needs the name of a file", "/save chat.json");
  if (turns_.empty()) FailCommand("/save", "there is nothing to save", kWriteFirst);
  // Do not overwrite the user's other files by mistake. Only this chat's own file may be rewritten.
  if (path != file_ && std::filesystem::exists(path)) {
    FailCommand(path, "exists already", "choose another name, or remove it first");
  }
  JsonValue messages = JsonValue::Array();
  const Conversation all = WholeConversation();
  for (const Message& message : all) messages.push_back({{"role", NameOf(message.role)}, {"content", message.text}});
  WriteTextFileAtomically(path, JsonValue{{"messages", messages}}.Dump(2) + "\n");
  file_ = path;
  screen_.Answer("saved " + Counted(turns_.size(), "message") +
                 (all.size() > turns_.size() ? " and the system text" : "") + " to " + path);
}

void ChatSession::LoadCommand(const std::string& arguments) {
  if (arguments.empty()) FailCommand("/load", "needs the name of a file", "/load chat.json");
  Load(arguments);
  ShowLastTurns();
}

// Check everything about the new model before releasing the old one.
void ChatSession::Model(const std::string& arguments) {
  if (arguments.empty()) return screen_.Show("/model", ModelText());
  ChatModel next = start_.open(ExpandHome(arguments));
  PromptBuilder builder(next.tokenizer, next.setup.prompt_template);
  GenerationPlan plan = PlanFor(next, start_.options);
  next.load();
  if (!system_is_users_) {
    system_ = next.setup.system;
    system_from_ = next.setup.system_from;
  }
  builder_ = std::move(builder);
  plan_ = std::move(plan);
  start_.model = std::move(next);
  reply_ids_.clear();  // of the other tokenizer
  told_dropped_ = 0;
  screen_.Answer("the conversation goes on with " + start_.model.name + ", " + std::to_string(start_.model.context) +
                 " positions");
}

Prompt ChatSession::PromptNow() const {
  const Conversation all = WholeConversation();
  return all.back().role == Role::kUser ? builder_.BuildPrompt(all) : builder_.BuildTranscript(all);
}

void ChatSession::Tokens(const std::string&) {
  int64_t used = 0;
  std::string text;
  if (!turns_.empty()) {
    const Prompt prompt = PromptNow();
    // One line per message: consecutive parts with the same role.
    for (size_t i = 0, end = 0; i < prompt.parts.size(); i = end) {
      for (end = i; end < prompt.parts.size() && prompt.parts[end].role == prompt.parts[i].role;) ++end;
      const size_t n = prompt.parts[end - 1].end - prompt.parts[i].begin;
      text += Line(NameOf(prompt.parts[i].role), std::to_string(n));
    }
    used = static_cast<int64_t>(prompt.ids.size());
  }
  const int64_t context = start_.model.context;
  text += Line("together", std::to_string(used) + " of " + std::to_string(context));
  text += used <= context ? Line("left", std::to_string(context - used))
                          : Line("too many by", std::to_string(used - context),
                                 "context policy " + std::string(NameOf(start_.policy)));
  screen_.Show("/tokens", text);
}

void ChatSession::ShowPrompt(const std::string&) {
  if (turns_.empty()) FailCommand("/prompt", "there is no message yet", kWriteFirst);
  screen_.Show("/prompt", WithLineEnd(PromptText(PromptNow(), start_.model.tokenizer, screen_.color())));
}

void ChatSession::Stats(const std::string&) {
  std::string text;
  if (last_) {
    const auto n = static_cast<int64_t>(last_->ids.size());
    text += Line("last prompt", Counted(last_prompt_, "token"),
                 std::to_string(last_->known_positions) + " of them known from before");
    text += Line("first token after", Rounded(last_->prefill_s, 2) + " s");
    text += Line(
        "last reply", Counted(n, "token"),
        n > 1 && last_->decode_s > 0 ? Rounded(static_cast<double>(n - 1) / last_->decode_s, 2) + " tokens/s" : "");
  }
  text += Line("generated in all", Counted(total_generated_, "token"), Rounded(total_decode_s_, 1) + " s");
  const MemoryUse memory = ReadMemoryUse();
  text += Line("memory", HumanBytes(memory.resident), "at most " + HumanBytes(memory.peak_resident) + " so far");
  screen_.Show("/stats", text);
}

void ChatSession::History(const std::string&) {
  if (turns_.empty()) FailCommand("/history", "there is no message yet", kWriteFirst);
  screen_.ShowTurns("/history", turns_);
}

void ChatSession::Exit(const std::string&) { ended_ = true; }

}  // namespace stablelm
