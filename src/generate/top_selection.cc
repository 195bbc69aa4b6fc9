#include "generate/top_selection.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>

#include "base/error.h"
#include "ops/score_row.h"

namespace stablelm {
namespace {

float KthLargest(std::vector<float>& values, size_t k) {
  const auto kth = values.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(values.begin(), kth, values.end(), std::greater<>());
  return *kth;
}

}  // namespace

size_t SelectTop(const float* x, size_t n, size_t k, int32_t* ids, float* values, std::vector<float>& scratch) {
  STABLELM_CHECK(k >= 1);
  float least = std::numeric_limits<float>::lowest();
  // Four columns per wanted entry leave about 12 percent too many; with few rows the maxima would say little.
  const size_t columns = std::bit_ceil(std::max<size_t>(4 * std::min(k, n), 256));
  if (columns <= n / 8) {
    scratch.resize(columns);
    ColumnMaxima(x, n, columns, scratch.data());
    least = std::max(least, KthLargest(scratch, k));
  }
  const size_t count = CollectAtLeast(x, n, least, ids, values);
  if (count <= k) return count;
  scratch.assign(values, values + count);
  least = KthLargest(scratch, k);
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    if (values[i] < least) continue;
    ids[kept] = ids[i];
    values[kept++] = values[i];
  }
  return kept;
}

}  // namespace stablelm
