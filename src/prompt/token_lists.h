// Token ids and lists of them in JSON: those that a request or a model's file names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

inline constexpr size_t kMostListedTokens = 65536;  // of a list: the work per token stays bounded

struct LogitBias {
  int32_t id = 0;
  double bias = 0;  // added to the token's score; -infinity bans it
};

// Lists of token ids that are never chosen, as transformers' GenerationConfig has them. No value: the key is not there.
struct TokenLists {
  std::optional<std::vector<std::vector<int32_t>>> bad_words;  // "bad_words_ids": sequences that are never completed
  std::optional<std::vector<int32_t>> suppress;                // "suppress_tokens"
  std::optional<std::vector<int32_t>> begin_suppress;          // "begin_suppress_tokens": not as the first one
  bool Any() const { return bad_words || suppress || begin_suppress; }
};

// Reads the list that `key` names; null leaves it as it is. Returns false when there is no such list. `vocab_size`
// bounds the ids. Throws Error that names `place`.
bool ReadTokenList(std::string_view key, const nlohmann::json& value, const std::string& place, int64_t vocab_size,
                   TokenLists& into);

// At most `most` ids, each below `vocab_size`. Throws Error that names `place`.
std::vector<int32_t> ReadTokenIds(const nlohmann::json& list, const std::string& place, int64_t vocab_size,
                                  size_t most);

// The ids of a JSON list of whole numbers, whatever they are. Throws Error that names the index.
std::vector<int32_t> IdsFromJson(const nlohmann::json& list, const std::string& where);

}  // namespace stablelm
