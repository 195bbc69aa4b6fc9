#include "generate/token_ids.h"

#include "base/error_kinds.h"

namespace stablelm {

void CheckTokenIds(std::span<const int32_t> ids, const ModelConfig& config, const std::string& where) {
  if (ids.empty()) {
    throw Error({.where = where, .what = "empty: there is no token to start from", .expected = "at least one token"});
  }
  if (static_cast<int64_t>(ids.size()) > config.max_positions) {
    throw PromptTooLong({.where = where,
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

}  // namespace stablelm
