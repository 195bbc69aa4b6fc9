#include "generate/token_ids.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strict_json.h"

namespace stablelm {

void CheckTokenIds(std::span<const int32_t> ids, const ModelConfig& config, const std::string& where) {
  if (ids.empty()) {
    throw Error({.where = where, .what = "empty: there is no token to start from", .expected = "at least one token"});
  }
  if (static_cast<int64_t>(ids.size()) > config.max_positions) {
    throw Error({.where = where,
                 .what = "longer than the model's context",
                 .found = std::to_string(ids.size()) + " tokens",
                 .expected = "at most " + std::to_string(config.max_positions),
                 .hint = "shorten it"});
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < config.vocab_size) continue;
    throw Error({.where = where + ": index " + std::to_string(i),
                 .what = "token id out of range",
                 .found = std::to_string(ids[i]),
                 .expected = "0 to " + std::to_string(config.vocab_size - 1)});
  }
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
