// Stores the sums of a row of x and a panel: adds the bias and writes them to y. Used by every product. Internal to
// ops.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "ops/packed_matrix.h"

namespace stablelm {

// Where a product of M rows goes.
struct ProductOutput {
  float* y = nullptr;           // [M, N]; or, with packed_rows, a packed fp32 matrix [N, M]
  size_t width = 0;             // N
  const float* bias = nullptr;  // [N] or null
  bool add = false;             // y += instead of y =
  size_t packed_rows = 0;       // M when y is packed, else 0
};

// `sums` [kPanelRows] are of row m and panel `panel`.
inline void StoreRow(const ProductOutput& out, size_t m, size_t panel, const float* sums) {
  if (out.packed_rows > 0) {
    float* const y = out.y + (panel * out.packed_rows + m) * kPanelRows;
    const size_t count = std::min(kPanelRows, out.width - panel * kPanelRows);
    for (size_t i = 0; i < count; ++i) y[i] = out.add ? y[i] + sums[i] : sums[i];
    std::fill(y + count, y + kPanelRows, 0.0f);
    return;
  }
  const size_t n = panel * kPanelRows, count = std::min(kPanelRows, out.width - n);
  float* const y = out.y + m * out.width + n;
  if (out.add) {
    for (size_t i = 0; i < count; ++i) y[i] += out.bias ? sums[i] + out.bias[n + i] : sums[i];
  } else if (out.bias) {
    for (size_t i = 0; i < count; ++i) y[i] = sums[i] + out.bias[n + i];
  } else {
    std::memcpy(y, sums, count * sizeof(float));
  }
}

}  // namespace stablelm
