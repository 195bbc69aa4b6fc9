// The CPU bodies behind StoreKeysValues and Attend, per SIMD target. Internal to ops: callers use ops/attention.h.
#pragma once

#include <algorithm>

#include "ops/attention.h"

namespace stablelm {

// Rotates the queries and keys of `count` consecutive rows of `sequence`, from its row `first`, for one head, and
// writes keys and values to the page that holds all their positions. False on overflow of fp16.
[[nodiscard]] bool StoreRows(const AttentionInput& in, const AttentionSequence& sequence, int64_t first, int64_t count,
                             int64_t head);

// `count` consecutive rows of `sequence`, starting at its row `first`, for one head.
void AttendQueries(const AttentionInput& in, const AttentionSequence& sequence, int64_t first, int64_t count,
                   int64_t head, float* scratch);

// Floats of scratch: queries and outputs [count, Dp], scores [count, kAttentionChunk].
constexpr int64_t AttentionScratchFloats(int64_t queries, int64_t padded_dim) {
  return queries * (2 * padded_dim + kAttentionChunk);
}
// The queries that one task takes together at the most, so that each key and value comes from memory once for all of
// them. With 256 rows at 4,096 positions of fp32, 16 queries took 100 ms, 32 64 ms and 64 45 ms on a Zen 5.
constexpr int64_t MaxAttentionQueries(int64_t padded_dim) {
  return std::min<int64_t>(
      64, static_cast<int64_t>(ExecutionContext::kWorkerFloats) / AttentionScratchFloats(1, padded_dim));
}
static_assert(MaxAttentionQueries(kMaxHeadDim) >= 8);

}  // namespace stablelm
