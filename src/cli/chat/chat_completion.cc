#include "cli/chat/chat_completion.h"

#include <algorithm>

#include "base/ascii.h"
#include "cli/chat/chat_paths.h"
#include "cli/chat/chat_session.h"
#include "prompt/presets.h"
#include "prompt/setting_values.h"

namespace stablelm {
namespace {

// Of `words`, those that begin with `typed`. Adds a space to each, for the next word.
std::vector<std::string> Matching(const std::vector<std::string>& words, const std::string& typed) {
  std::vector<std::string> found;
  for (const std::string& word : words) {
    if (word.starts_with(typed)) found.push_back(word + " ");
  }
  std::ranges::sort(found);
  return found;
}

std::vector<std::string> ValuesOfSetting(std::string name) {
  std::ranges::replace(name, '-', '_');
  std::vector<std::string> values;
  if (name == "preset") values = PresetNames();
  if (name == "context_policy") values = ContextPolicyNames();
  if (name == "do_sample") values = {"true", "false"};
  if (name != "seed" && name != "context_policy") values.emplace_back("default");
  return values;
}

}  // namespace

Completion ChatSession::Complete(const std::string& line) {
  const size_t name_end = line.find(' ');
  if (name_end == std::string::npos) return {.words = Matching(CommandNames(), LowerAscii(line))};
  const std::string name = LowerAscii(line.substr(0, name_end));
  const size_t begin = std::min(line.find_first_not_of(' ', name_end), line.size());
  const std::string rest = line.substr(begin);
  if (name == "/load" || name == "/save" || name == "/model") return {.from = begin, .words = CompleteFile(rest)};
  if (name == "/system" && rest.starts_with('@')) return {.from = begin + 1, .words = CompleteFile(rest.substr(1))};
  if (name == "/system") return {.from = begin, .words = Matching({"none"}, rest)};
  if (name != "/set") return {};
  if (const size_t value = rest.find_first_of(" ="); value != std::string::npos) {
    const size_t from = std::min(rest.find_first_not_of(" =", value), rest.size());
    return {.from = begin + from, .words = Matching(ValuesOfSetting(rest.substr(0, value)), rest.substr(from))};
  }
  std::vector<std::string> names = SettingNames();
  names.insert(names.end(), std::begin(kChatSettings), std::end(kChatSettings));
  std::string typed = rest;
  std::ranges::replace(typed, '-', '_');
  return {.from = begin, .words = Matching(names, typed)};
}

}  // namespace stablelm
