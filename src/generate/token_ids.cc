#include "generate/token_ids.h"

#include "base/counted.h"
#include "base/error_kinds.h"

namespace stablelm {

void CheckTokenIds(std::span<const int32_t> ids, const ModelConfig& config, const std::string& where) {
  if (ids.empty()) {
    throw Error({.where = where,
                 .what = "empty: there is no token to start from",
                 .expected = "at least one token",
                 .hint = "write some text; to start from nothing, give the id " + std::to_string(config.bos_id) +
                         ", with which the texts of the model's training begin"});
  }
  if (static_cast<int64_t>(ids.size()) > config.max_positions) {
    throw PromptTooLong({.where = where,
                         .what = "longer than the model's context",
                         .found = Counted(ids.size(), "token"),
                         .expected = "at most " + std::to_string(config.max_positions),
                         .hint = "shorten it"});
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < config.vocab_size) continue;
    throw Error({.where = where + ": index " + std::to_string(i),
                 .what = "token id out of range",
                 .found = std::to_string(ids[i]),
                 .expected = "0 to " + std::to_string(config.vocab_size - 1),
                 .hint = "the ids are of another model's tokenizer, or of one with more tokens"});
  }
}

}  // namespace stablelm
