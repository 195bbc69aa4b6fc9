#include "prompt/prompt_line.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error_kinds.h"
#include "base/nearest.h"
#include "base/strict_json.h"

namespace stablelm {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxLineDepth = 8;  // needed: 5 (line, messages, message, content, part)

[[noreturn]] void FailLine(const std::string& key, std::string what, const Json& found, std::string expected) {
  throw Error({.where = key, .what = std::move(what), .found = ShownJson(found), .expected = std::move(expected)});
}

const std::string& TextAt(const Json& value, const std::string& key) {
  if (!value.is_string()) FailLine(key, "not a string", value, "a string");
  return value.get_ref<const std::string&>();
}

void RequireSize(const Json& list, const std::string& key) {
  if (list.size() <= kMostListedTokens) return;
  throw Error({.where = key,
               .what = "too many entries",
               .found = std::to_string(list.size()),
               .expected = "at most " + std::to_string(kMostListedTokens)});
}

std::vector<std::string> StopStringsOf(const Json& value, const std::string& key) {
  if (value.is_string()) return {value.get<std::string>()};
  if (!value.is_array()) FailLine(key, "not a stop string", value, "a string, or a list of strings");
  RequireSize(value, key);
  std::vector<std::string> strings;
  for (const Json& one : value) strings.push_back(TextAt(one, key + "[" + std::to_string(strings.size()) + "]"));
  return strings;
}

std::vector<LogitBias> BiasesOf(const Json& value, const std::string& key) {
  const char* expected =
      "an object of token ids and what is added to their scores, such as {\"12\": -5, \"13\": \"-inf\"}";
  if (!value.is_object()) FailLine(key, "not a list of biases", value, expected);
  RequireSize(value, key);
  std::vector<LogitBias> biases;
  for (const auto& [name, bias] : value.items()) {
    LogitBias one;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), one.id);
    if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size() || one.id < 0) {
      FailLine(key, "not a token id", name, expected);
    }
    if (bias == "-inf") {
      one.bias = -std::numeric_limits<double>::infinity();
    } else if (bias.is_number()) {
      one.bias = bias.get<double>();
    } else {
      FailLine(key + "[" + Quoted(name) + "]", "not a bias", bias, "a number, or \"-inf\"");
    }
    biases.push_back(one);
  }
  return biases;
}

// Reads one key. Returns false for an unknown key.
bool ReadKey(const std::string& key, const Json& value, PromptLine& line) {
  if (key == "prompt") {
    line.prompt = TextAt(value, key);
  } else if (key == "ids") {
    line.ids = IdsFromJson(value, key);
  } else if (key == "messages") {
    line.messages = ReadMessages(value, {});
  } else if (key == "seed") {
    if (!value.is_number_unsigned()) FailLine(key, "not a seed", value, "a whole number from 0 to 2^64 - 1");
    line.seed = value.get<uint64_t>();
  } else if (key == "stop") {
    line.stop_strings = StopStringsOf(value, key);
  } else if (key == "stop_id") {
    if (value.is_array()) RequireSize(value, key);
    line.stop_ids = IdsFromJson(value, key);
  } else if (key == "ignore_eos") {
    if (!value.is_boolean()) FailLine(key, "not a flag", value, "true or false");
    line.ignore_eos = value.get<bool>();
  } else if (key == "max_time") {
    if (!value.is_number() || !(value.get<double>() > 0)) FailLine(key, "not a time", value, "more than 0 seconds");
    line.max_time_s = value.get<double>();
  } else if (key == "logit_bias") {
    line.logit_bias = BiasesOf(value, key);
  } else if (key == "sampler_order") {
    line.sampler_order = TextAt(value, key);
  } else if (const std::optional<SettingSpec> spec = FindSetting(key)) {
    line.values[key] = ReadSettingValue(value, *spec, key);
  } else {
    return ReadTokenList(key, value, key, int64_t{INT32_MAX} + 1, line.token_lists);
  }
  return true;
}

[[noreturn]] void RefuseKey(const std::string& key, const Json& value) {
  std::vector<std::string> known = {"prompt",       "ids",           "messages",        "seed",
                                    "stop",         "stop_id",       "ignore_eos",      "max_time",
                                    "logit_bias",   "bad_words_ids", "suppress_tokens", "begin_suppress_tokens",
                                    "sampler_order"};
  const std::vector<std::string> settings = SettingNames();
  known.insert(known.end(), settings.begin(), settings.end());
  std::string typed = key;
  std::replace(typed.begin(), typed.end(), '-', '_');  // accept the spelling of options in the suggestion
  throw UnknownKey({.what = "unknown key " + Quoted(key),
                    .found = ShownJson(value),
                    .expected = "prompt, ids or messages, and names of settings",
                    .hint = DidYouMeanKey(typed, known)},
                   key, known);
}

}  // namespace

PromptLine ParsePromptLine(std::string_view json) {
  const Json object = ParseStrictJson(json, {}, kMaxLineDepth);
  const char* expected = "an object such as {\"prompt\": \"Once upon\", \"max_new_tokens\": 20}";
  if (!object.is_object()) FailLine({}, "not an object", object, expected);
  PromptLine line;
  for (const auto& [key, value] : object.items()) {
    if (!value.is_null() && !ReadKey(key, value, line)) RefuseKey(key, value);
  }
  const int prompts = int{line.prompt.has_value()} + int{line.ids.has_value()} + int{line.messages.has_value()};
  if (prompts == 1) return line;
  throw Error({.what = prompts == 0 ? "there is no prompt" : "the prompt is given twice",
               .expected = "one of \"prompt\" (a text), \"ids\" (a list) and \"messages\" (a conversation)"});
}

}  // namespace stablelm
