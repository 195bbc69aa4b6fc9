// CPU kernels behind StoreKeysValues and Attend, per SIMD target. Internal to ops: callers use ops/attention.h.
#pragma once

#include <algorithm>

#include "ops/attention.h"

namespace stablelm {

// For one head, rotates the queries and keys of `count` consecutive rows of `sequence`, starting at its row `first`,
// and writes keys and values to the page that holds all these tokens. Returns false on overflow of fp16.
[[nodiscard]] bool StoreRows(const AttentionInput& in, const AttentionSequence& sequence, int64_t first, int64_t count,
                             int64_t head);

// Computes attention of one head for `count` consecutive rows of `sequence`, starting at its row `first`.
void AttendQueries(const AttentionInput& in, const AttentionSequence& sequence, int64_t first, int64_t count,
                   int64_t head, float* scratch);

// Floats of scratch: queries and outputs [count, Dp], scores [count, kAttentionChunk].
constexpr int64_t AttentionScratchFloats(int64_t queries, int64_t padded_dim) {
  return queries * (2 * padded_dim + kAttentionChunk);
}
// Maximum queries per task, which share one read of each key and value from memory. Measured on a Zen 5 with 256 rows
// at 4,096 tokens of fp32: 16 queries took 100 ms, 32 64 ms and 64 45 ms.
constexpr int64_t MaxAttentionQueries(int64_t padded_dim) {
  return std::min<int64_t>(
      64, static_cast<int64_t>(ExecutionContext::kWorkerFloats) / AttentionScratchFloats(1, padded_dim));
}
static_assert(MaxAttentionQueries(kMaxHeadDim) >= 8);

}  // namespace stablelm
