// One sequence of any length through the forward pass, in chunks that the context's buffers hold.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "model/transformer.h"

namespace stablelm {

struct ChunkedForwardOptions {
  int64_t logits_from = 0;              // logits of tokens[logits_from .. end), as in BatchSequence
  ForwardObserver* observer = nullptr;  // sees every chunk in turn
  // Called between chunks; true ends the work early.
  std::function<bool()> stop = {};
};

// Logits [rows, V] of tokens[first .. first + rows); valid during the call.
using LogitsSink = std::function<void(int64_t first, int64_t rows, std::span<const float> logits)>;

// Appends `tokens` to the cache's sequence. Returns how many tokens were computed: all of them unless stopped. The
// chunks do not change a bit of the result.
int64_t ForwardInChunks(const Transformer& model, std::span<const int32_t> tokens, KvSequence& cache,
                        ForwardContext& ctx, const ChunkedForwardOptions& options, const LogitsSink& sink);

}  // namespace stablelm
