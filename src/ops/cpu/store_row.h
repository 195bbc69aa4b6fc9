// Stores the sums of a row of x and a panel: adds the bias and writes them to y. Used by every product. Internal to
// ops.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "ops/packed_matrix.h"

namespace stablelm {

// Job has w, the packed matrix [N, K]; bias [N] or null; y [M, N]. `sums` [kPanelRows] are of row m and panel `panel`.
template <class Job>
void StoreRow(const Job& job, size_t m, size_t panel, const float* sums) {
  const size_t n = panel * kPanelRows, n_out = job.w->rows();
  const size_t count = std::min(kPanelRows, n_out - n);
  float* const y = job.y + m * n_out + n;
  if (job.bias) {
    for (size_t i = 0; i < count; ++i) y[i] = sums[i] + job.bias[n + i];
  } else {
    std::memcpy(y, sums, count * sizeof(float));
  }
}

}  // namespace stablelm
