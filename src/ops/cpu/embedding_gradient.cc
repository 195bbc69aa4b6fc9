#include "ops/embedding_gradient.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "ops/packed_matrix.h"

namespace stablelm {
namespace {

// to [width], elements `stride` apart, += from.
void AddRow(const float* from, size_t width, float* to, size_t stride) {
  if (stride == 1) {
    for (size_t c = 0; c < width; ++c) to[c] += from[c];
  } else {
    for (size_t c = 0; c < width; ++c) to[c * stride] += from[c];
  }
}

}  // namespace

void EmbeddingGradient(const EmbeddingGradientInput& in, ExecutionContext& exec) {
  STABLELM_CHECK(in.order.size() == in.ids.size());
  const size_t width = static_cast<size_t>(in.width), n = in.ids.size();
  const auto id_of = [&](size_t i) { return in.ids[static_cast<size_t>(in.order[i])]; };
  std::iota(in.order.begin(), in.order.end(), 0);
  std::sort(in.order.begin(), in.order.end(), [&](int32_t a, int32_t b) {
    const int32_t id_a = in.ids[static_cast<size_t>(a)], id_b = in.ids[static_cast<size_t>(b)];
    return id_a != id_b ? id_a < id_b : a < b;
  });
  // Rows of one panel share cache lines, so one thread adds to all of them.
  const auto same_group = [&](size_t i, size_t j) {
    constexpr int32_t kPanel = static_cast<int32_t>(kPanelRows);
    return in.packed ? id_of(i) / kPanel == id_of(j) / kPanel : id_of(i) == id_of(j);
  };
  exec.pool().ForSteps(n, 16, [&](size_t begin, size_t end, size_t) {
    // A step does the groups that begin in it.
    while (begin < end && begin > 0 && same_group(begin - 1, begin)) ++begin;
    for (size_t i = begin; i < n && (i < end || (begin < end && same_group(i - 1, i))); ++i) {
      const size_t id = static_cast<size_t>(id_of(i));
      const float* const from = in.dy + static_cast<size_t>(in.order[i]) * width;
      float* const to = in.d_table + (in.packed ? id / kPanelRows * width * kPanelRows + id % kPanelRows : id * width);
      AddRow(from, width, to, in.packed ? kPanelRows : 1);
    }
  });
}

}  // namespace stablelm
