// One sequence of any length through the forward pass, in chunks that the context's buffers hold.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "model/transformer.h"

namespace stablelm {

struct ChunkedForwardOptions {
  int64_t logits_from = 0;  // logits of tokens[logits_from .. end), as in BatchSequence
  PassHooks hooks = {};     // of every chunk in turn
};

// Logits [rows, V] of tokens[first .. first + rows); valid during the call.
using LogitsSink = std::function<void(int64_t first, int64_t rows, std::span<const float> logits)>;

// Appends `tokens` to the cache's sequence. The chunks do not change a bit of the result. Throws as
// Transformer::Forward; the chunks before the one that threw are then in the cache.
void ForwardInChunks(const Transformer& model, std::span<const int32_t> tokens, KvSequence& cache, ForwardContext& ctx,
                     const ChunkedForwardOptions& options, const LogitsSink& sink);

}  // namespace stablelm
