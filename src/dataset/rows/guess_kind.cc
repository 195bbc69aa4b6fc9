#include "dataset/rows/guess_kind.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace stablelm {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr std::pair<const char*, const char*> kPairs[] = {
    {"question", "answer"}, {"user", "assistant"}, {"query", "response"}, {"input", "output"}};

bool Has(const object& row, const char* key) {
  element value;
  return row.at_key(key).get(value) == simdjson::SUCCESS;
}

bool HasList(const object& row, const char* key) {
  array list;
  return row.at_key(key).get(list) == simdjson::SUCCESS;
}

std::string_view TextOf(const object& row, const char* key) {
  std::string_view text;
  return row.at_key(key).get(text) == simdjson::SUCCESS ? text : std::string_view();
}

std::optional<KindGuess> GuessRow(const element& row) {
  const auto guess = [](SourceKind kind, std::string why) {
    return KindGuess{.kind = kind, .columns = {}, .why = std::move(why)};
  };
  array list;
  if (row.get(list) == simdjson::SUCCESS) {
    object first;
    if (list.size() == 0 || list.at(0).get(first) != simdjson::SUCCESS || !Has(first, "role")) return std::nullopt;
    return guess(SourceKind::kMessages, "the rows are lists of messages");
  }
  object o;
  if (row.get(o) != simdjson::SUCCESS) return std::nullopt;
  if (HasList(o, "messages")) return guess(SourceKind::kMessages, "the rows have a list \"messages\"");
  for (const char* key : {"conversations", "conversation"}) {
    if (HasList(o, key)) return guess(SourceKind::kShareGpt, "the rows have a list " + Quoted(key));
  }
  for (const char* key : {"chosen", "prompt"}) {
    if (TextOf(o, key).starts_with("\n\nHuman:")) {
      return guess(SourceKind::kHh, Quoted(key) + " begins with a blank line and \"Human:\"");
    }
  }
  if (Has(o, "instruction")) {
    const bool answer = Has(o, "output") || Has(o, "response");
    if (answer && (Has(o, "context") || Has(o, "category"))) {
      return guess(SourceKind::kDolly, "the rows have \"instruction\" and \"context\" or \"category\"");
    }
    if (answer || HasList(o, "instances")) {
      return guess(SourceKind::kAlpaca, "the rows have \"instruction\" and \"output\", \"response\" or \"instances\"");
    }
  }
  if (Has(o, "prompt")) {
    for (const char* key : {"response", "completion", "answer", "output"}) {
      if (Has(o, key)) return guess(SourceKind::kPromptReply, "the rows have \"prompt\" and " + Quoted(key));
    }
  }
  for (const auto& [user, assistant] : kPairs) {
    if (!Has(o, user) || !Has(o, assistant)) continue;
    KindGuess columns = guess(SourceKind::kColumns, "the rows have " + Quoted(user) + " and " + Quoted(assistant));
    columns.columns.user = user;
    columns.columns.assistant = assistant;
    if (Has(o, "system")) columns.columns.system = "system";
    if (Has(o, "id")) columns.columns.id = "id";
    return columns;
  }
  if (const std::string_view text = TextOf(o, "text"); !text.empty()) {
    if (text.starts_with("<|SYSTEM|>") || text.starts_with("<|USER|>")) {
      return guess(SourceKind::kMarkers, "\"text\" begins with <|SYSTEM|> or <|USER|>");
    }
    return guess(SourceKind::kText, "the rows have \"text\"");
  }
  return std::nullopt;
}

}  // namespace

KindGuess GuessKind(std::span<const std::string> rows, const std::string& where) {
  simdjson::dom::parser parser;
  std::vector<KindGuess> guesses;
  std::vector<std::string> keys;
  for (const std::string& json : rows) {
    element row;
    if (parser.parse(json.data(), json.size(), true).get(row) != simdjson::SUCCESS) continue;
    if (std::optional<KindGuess> guess = GuessRow(row)) guesses.push_back(*std::move(guess));
    object o;
    if (row.get(o) != simdjson::SUCCESS) continue;
    for (const auto& field : o) {
      std::string key(field.key);
      if (keys.size() < 50 && std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(std::move(key));
    }
  }
  if (guesses.empty()) {
    throw Error({.where = where,
                 .what = rows.empty() ? "the file has no rows" : "the rows have no shape that is known",
                 .found = rows.empty()   ? ""
                          : keys.empty() ? "no columns"
                                         : "columns " + Joined(keys),
                 .expected = "messages, conversations, instruction and output, prompt and response, text, ...",
                 .hint = rows.empty()
                             ? "is it the right file?"
                             : "name the columns: `kind: columns` and `columns: {user: NAME, assistant: NAME}` "
                               "in the recipe's source, or --set sources.0.kind=columns --set "
                               "sources.0.columns.user=NAME --set sources.0.columns.assistant=NAME"});
  }
  // The guess of most rows; among equals the first.
  const auto count = [&](const KindGuess& one) {
    return std::count_if(guesses.begin(), guesses.end(), [&](const KindGuess& other) {
      return other.kind == one.kind && other.columns == one.columns;
    });
  };
  return *std::max_element(guesses.begin(), guesses.end(),
                           [&](const KindGuess& a, const KindGuess& b) { return count(a) < count(b); });
}

}  // namespace stablelm
