// The input of every forward pass: a ragged batch. Each sequence has its own number of tokens, its own cache and its
// own choice of rows that need logits. A chat turn, a prefill chunk, many decoding requests and an evaluation batch all
// use it.
#pragma once

#include <cstdint>
#include <span>

#include "model/kv_cache.h"

namespace stablelm {

struct BatchSequence {
  // The next tokens of the sequence, at least one. Their positions start at cache->length().
  std::span<const int32_t> tokens;
  // The forward pass appends tokens.size() tokens. Each sequence of a batch has its own.
  KvSequence* cache = nullptr;
  // Logits are computed for tokens[logits_from .. end) only: 0 = all, tokens.size() - 1 = the last, tokens.size() =
  // none.
  int64_t logits_from = 0;

  int64_t NumLogits() const { return static_cast<int64_t>(tokens.size()) - logits_from; }
};

}  // namespace stablelm
