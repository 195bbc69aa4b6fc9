// The one batch: what every forward pass takes. Ragged: each sequence brings its own number of tokens, its own cache
// and its own wish for logits. A chat turn, a chunk of a prompt, many requests that decode together, an evaluation
// batch are all this.
#pragma once

#include <cstdint>
#include <span>

#include "model/kv_cache.h"

namespace stablelm {

struct BatchSequence {
  // The next tokens of the sequence, at positions cache->length() onwards. At least one.
  std::span<const int32_t> tokens;
  // Grows by tokens.size() in the forward pass. No two sequences of a batch share one.
  KvSequence* cache = nullptr;
  // Logits are computed for tokens[logits_from .. end) only: 0 = all, tokens.size() - 1 = the last, tokens.size() =
  // none.
  int64_t logits_from = 0;

  int64_t NumLogits() const { return static_cast<int64_t>(tokens.size()) - logits_from; }
};

}  // namespace stablelm
