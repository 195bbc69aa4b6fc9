#include "generate/sampling/top_selection.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/error.h"
#include "ops/scores/score_row.h"

namespace stablelm {

size_t SelectTop(const float* x, size_t n, size_t k, int32_t* ids, float* values, RankedCutFinder& finder) {
  STABLELM_CHECK(k >= 1);
  float least = std::numeric_limits<float>::lowest();
  const auto raise = [&](const float* scores, size_t count) {
    least = std::max(least, finder.Find(scores, nullptr, count, static_cast<double>(k)).score);
  };
  // With four columns per wanted entry the threshold lets about 12 percent too many entries pass. With few rows per
  // column the maxima would be a weak threshold.
  const size_t columns = std::bit_ceil(std::max<size_t>(4 * std::min(k, n), 256));
  if (columns <= n / 8) {
    ColumnMaxima(x, n, columns, values);
    raise(values, columns);
  } else if (k < n) {
    raise(x, n);
  }
  const size_t count = CollectAtLeast(x, n, least, ids, values);
  if (count <= k) return count;
  raise(values, count);
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    if (values[i] < least) continue;
    ids[kept] = ids[i];
    values[kept++] = values[i];
  }
  return kept;
}

}  // namespace stablelm
