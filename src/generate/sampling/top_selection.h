// The k largest scores of a row, without sorting it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "generate/sampling/ranked_cut.h"

namespace stablelm {

// Selects the entries of x[0 .. n) above -inf that are at least as large as the k-th largest. Writes their indices,
// ascending, to ids and their scores to values; both have room for n + kCollectPadding (ops/scores/score_row.h).
// Returns their number: more than k with ties, fewer when fewer are above -inf. k >= 1. `finder` has room for n. About
// two passes over x for small k.
size_t SelectTop(const float* x, size_t n, size_t k, int32_t* ids, float* values, RankedCutFinder& finder);

}  // namespace stablelm
