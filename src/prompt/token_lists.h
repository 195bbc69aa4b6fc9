// Reads token ids and lists of them from the JSON of requests and model files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

inline constexpr size_t kMostListedTokens = 65536;  // per list: bounds the work per token

struct LogitBias {
  int32_t id = 0;
  double bias = 0;  // added to the token's score; -infinity bans it
};

// Lists of token ids that are never chosen, as in transformers' GenerationConfig. No value: the key is absent.
struct TokenLists {
  std::optional<std::vector<std::vector<int32_t>>> bad_words;  // "bad_words_ids": sequences that must not be completed
  std::optional<std::vector<int32_t>> suppress;                // "suppress_tokens"
  std::optional<std::vector<int32_t>> begin_suppress;          // "begin_suppress_tokens": banned as the first token
  bool Any() const { return bad_words || suppress || begin_suppress; }
};

// Reads the list named `key`; null leaves `into` unchanged. Returns false when `key` is not a token list. Ids must be
// below `vocab_size`. Throws Error that names `place`.
bool ReadTokenList(std::string_view key, const nlohmann::json& value, const std::string& place, int64_t vocab_size,
                   TokenLists& into);

// At most `most` ids, each below `vocab_size`. Throws Error that names `place`.
std::vector<int32_t> ReadTokenIds(const nlohmann::json& list, const std::string& place, int64_t vocab_size,
                                  size_t most);

// The ids of a JSON list of integers; any 32-bit value is accepted. Throws Error that names the index.
std::vector<int32_t> IdsFromJson(const nlohmann::json& list, const std::string& where);

}  // namespace stablelm
