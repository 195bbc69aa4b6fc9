#include "prompt/chat_record.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_value.h"
#include "base/nearest.h"
#include "base/strict_json.h"
#include "base/utf8.h"

namespace stablelm {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxStopTokens = 1000;

[[noreturn]] void FailRecord(const std::string& where, const std::string& what, const Json* found,
                             const std::string& expected, const std::string& hint = {}) {
  throw Error(
      {.where = where, .what = what, .found = found ? ShownJson(*found) : "", .expected = expected, .hint = hint});
}

void RefuseUnknown(const Json& object, const std::vector<std::string>& known, const std::string& where,
                   const char* kind) {
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(known, key) != known.end()) continue;
    FailRecord(where, std::string("unknown ") + kind + " " + Quoted(key), nullptr, Joined(known),
               DidYouMeanKey(key, known));
  }
}

PromptTemplate ReadTemplate(const Json& root, const std::string& where) {
  const std::vector<std::string> known = PromptTemplateNames();
  const auto it = root.find("template");
  if (it == root.end()) FailRecord(where, "missing", nullptr, Joined(known));
  if (!it->is_string()) FailRecord(where, "not a string", &*it, Joined(known));
  const std::string& name = it->get_ref<const std::string&>();
  if (const std::optional<PromptTemplate> found = PromptTemplateOf(name)) return *found;
  FailRecord(where, "unknown template", &*it, Joined(known), DidYouMean(name, known));
}

std::vector<std::string> ReadStopTokens(const Json& list, const std::string& where) {
  if (!list.is_array() || list.size() > kMaxStopTokens) {
    FailRecord(where, "not a list of tokens", &list, "at most " + std::to_string(kMaxStopTokens) + " strings");
  }
  std::vector<std::string> tokens;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string place = where + "[" + std::to_string(i) + "]";
    if (!list[i].is_string()) FailRecord(place, "not a string", &list[i], "the spelling of a token");
    if (list[i].get_ref<const std::string&>().empty()) FailRecord(place, "empty", nullptr, "the spelling of a token");
    tokens.push_back(list[i].get<std::string>());
  }
  return tokens;
}

}  // namespace

ChatRecord CardChatRecord() {
  constexpr PromptTemplate kCard = PromptTemplate::kStableLmTuned;
  return {.prompt_template = kCard,
          .system = std::string(*DefaultSystemText(kCard)),
          .stop_tokens = DefaultStopTokens(kCard),
          .generation = {{"temperature", 0.7}}};
}

ChatRecord ParseChatRecord(std::string_view json, const std::string& where) {
  const Json root = ParseStrictJson(json, where, 4);
  if (!root.is_object()) FailRecord(where, "not a chat record", &root, "a JSON object");
  RefuseUnknown(root, {"template", "system", "stop_tokens", "generation"}, where, "key");
  const auto place = [&](const char* key) { return where + ": \"" + key + "\""; };

  ChatRecord record;
  record.prompt_template = ReadTemplate(root, place("template"));
  if (const auto system = root.find("system"); system == root.end()) {
    if (const auto text = DefaultSystemText(record.prompt_template)) record.system = std::string(*text);
  } else if (system->is_string()) {
    record.system = system->get<std::string>();
  } else if (!system->is_null()) {
    FailRecord(place("system"), "not text", &*system, "a string, or null for none");
  }
  const auto stops = root.find("stop_tokens");
  record.stop_tokens =
      stops == root.end() ? DefaultStopTokens(record.prompt_template) : ReadStopTokens(*stops, place("stop_tokens"));
  if (const auto settings = root.find("generation"); settings != root.end()) {
    if (!settings->is_object()) FailRecord(place("generation"), "not an object", &*settings, "{\"temperature\": 0.7}");
    RefuseUnknown(*settings, SettingNames(), place("generation"), "setting");
    for (const auto& [name, value] : settings->items()) {
      record.generation[name] = ReadSettingValue(value, *FindSetting(name), where + ": \"generation." + name + "\"");
    }
  }
  return record;
}

std::string WriteChatRecord(const ChatRecord& record) {
  if (record.system && utf8::FirstInvalid(*record.system) != utf8::kValid) {
    FailRecord("chat record: \"system\"", "not UTF-8", nullptr, "UTF-8 text");
  }
  JsonValue root;
  root["template"] = NameOf(record.prompt_template);
  root["system"] = nullptr;
  if (record.system) root["system"] = *record.system;
  root["stop_tokens"] = record.stop_tokens;
  root["generation"] = JsonValue::Object();
  for (const auto& [name, value] : record.generation) {
    const std::optional<SettingSpec> spec = FindSetting(name);
    STABLELM_CHECK(spec);
    root["generation"][name] = SettingJson(*spec, value);
  }
  return root.Dump(2) + "\n";
}

}  // namespace stablelm
