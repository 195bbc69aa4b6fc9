// The CPU body behind Attend, per SIMD target. Internal to ops: callers use ops/attention.h.
#pragma once

#include "ops/attention.h"

namespace stablelm {

// Queries that one task takes together, so that each key and value is read once for all of them.
inline constexpr int64_t kAttentionQueries = 4;

// `count` <= kAttentionQueries consecutive rows of `sequence`, starting at its row `first`, for one head.
void AttendQueries(const AttentionInput& in, const AttentionSequence& sequence, int64_t first, int64_t count,
                   int64_t head, float* scratch);

// Floats of scratch: queries and outputs [kAttentionQueries, Dp], scores [kAttentionQueries, kAttentionChunk].
constexpr size_t AttentionScratchFloats(int64_t padded_dim) {
  return static_cast<size_t>(kAttentionQueries * (2 * padded_dim + kAttentionChunk));
}
static_assert(AttentionScratchFloats(kMaxHeadDim) <= Workspace::kWorkerFloats);

}  // namespace stablelm
