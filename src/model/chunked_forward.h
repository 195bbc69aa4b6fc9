// Runs the forward pass over one sequence of any length, in chunks that fit the context's buffers.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "model/transformer.h"

namespace stablelm {

struct ChunkedForwardOptions {
  int64_t logits_from = 0;  // logits of tokens[logits_from .. end), as in BatchSequence
  PassHooks hooks = {};     // used by every chunk
};

// Logits [rows, V] of tokens[first .. first + rows); valid during the call.
using LogitsSink = std::function<void(int64_t first, int64_t rows, std::span<const float> logits)>;

// Appends `tokens` to the cache's sequence. Chunking does not change a bit of the result. Throws what
// Transformer::Forward throws; the cache then holds the chunks before the one that threw.
void ForwardInChunks(const Transformer& model, std::span<const int32_t> tokens, KvSequence& cache, ForwardContext& ctx,
                     const ChunkedForwardOptions& options, const LogitsSink& sink);

}  // namespace stablelm
