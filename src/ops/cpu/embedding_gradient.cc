#include "ops/embedding_gradient.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "ops/packed_matrix.h"

namespace stablelm {
namespace {

// Columns of a panel that stay in the first cache level while the rows of its ids are added: 8 KiB.
constexpr size_t kBlock = 64;

// The table's rows of ids in one panel (packed), or of one id: rows `order` of dy.
void AddRows(const EmbeddingGradientInput& in, std::span<const int32_t> order) {
  const size_t width = static_cast<size_t>(in.width), block = in.packed ? kBlock : width;
  for (size_t begin = 0; begin < width; begin += block) {
    const size_t end = std::min(begin + block, width);
    for (const int32_t r : order) {
      const size_t id = static_cast<size_t>(in.ids[static_cast<size_t>(r)]);
      const float* const from = in.dy + static_cast<size_t>(r) * width;
      if (in.packed) {
        float* const to = in.d_table + id / kPanelRows * width * kPanelRows + id % kPanelRows;
        for (size_t c = begin; c < end; ++c) to[c * kPanelRows] += from[c];
      } else {
        float* const to = in.d_table + id * width;
        for (size_t c = begin; c < end; ++c) to[c] += from[c];
      }
    }
  }
}

}  // namespace

void EmbeddingGradient(const EmbeddingGradientInput& in, ExecutionContext& exec) {
  STABLELM_CHECK(in.order.size() == in.ids.size());
  const size_t n = in.ids.size();
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
    while (begin < end) {
      size_t next = begin + 1;
      while (next < n && same_group(begin, next)) ++next;
      AddRows(in, in.order.subspan(begin, next - begin));
      begin = next;
    }
  });
}

}  // namespace stablelm
