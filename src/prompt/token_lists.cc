#include "prompt/token_lists.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strict_json.h"

namespace stablelm {
namespace {

using Json = nlohmann::json;

std::vector<std::vector<int32_t>> ReadBadWords(const Json& value, const std::string& place, int64_t vocab_size) {
  if (!value.is_array()) {
    throw Error({.where = place,
                 .what = "not a list of lists of token ids",
                 .found = ShownJson(value),
                 .expected = "[[1, 2], [3], ...]"});
  }
  std::vector<std::vector<int32_t>> words;
  size_t total = 0;
  for (const Json& word : value) {
    words.push_back(ReadTokenIds(word, place, vocab_size, kMostListedTokens - total));
    total += words.back().size();
    if (!words.back().empty()) continue;
    throw Error({.where = place, .what = "an entry is empty", .expected = "one token id or more"});
  }
  return words;
}

}  // namespace

std::vector<int32_t> ReadTokenIds(const Json& list, const std::string& place, int64_t vocab_size, size_t most) {
  if (!list.is_array()) {
    throw Error(
        {.where = place, .what = "not a list of token ids", .found = ShownJson(list), .expected = "[1, 2, ...]"});
  }
  if (list.size() > most) {
    throw Error({.where = place,
                 .what = "too many ids",
                 .found = std::to_string(list.size()),
                 .expected = "at most " + std::to_string(most)});
  }
  std::vector<int32_t> ids;
  for (const Json& id : list) {
    if (!(id.is_number_integer() && id >= 0 && id < vocab_size)) {
      throw Error({.where = place,
                   .what = "not a token of the vocabulary",
                   .found = ShownJson(id),
                   .expected = "an integer from 0 to " + std::to_string(vocab_size - 1)});
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

bool ReadTokenList(std::string_view key, const Json& value, const std::string& place, int64_t vocab_size,
                   TokenLists& into) {
  if (key == "bad_words_ids") {
    if (!value.is_null()) into.bad_words = ReadBadWords(value, place, vocab_size);
  } else if (key == "suppress_tokens" || key == "begin_suppress_tokens") {
    auto& list = key == "suppress_tokens" ? into.suppress : into.begin_suppress;
    if (!value.is_null()) list = ReadTokenIds(value, place, vocab_size, kMostListedTokens);
  } else {
    return false;
  }
  return true;
}

std::vector<int32_t> IdsFromJson(const nlohmann::json& list, const std::string& where) {
  const auto fail = [](const std::string& place, const nlohmann::json& found, const char* expected) {
    throw Error(
        {.where = place, .what = "not a list of token ids", .found = ShownJson(found, 40), .expected = expected});
  };
  if (!list.is_array()) fail(where, list, "a list such as [1, 2, 3]");
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const nlohmann::json& value : list) {
    const bool fits = value.is_number_integer() && value >= INT32_MIN && value <= INT32_MAX;
    if (!fits) fail(where + ": index " + std::to_string(ids.size()), value, "a whole number");
    ids.push_back(value.get<int32_t>());
  }
  return ids;
}

}  // namespace stablelm
