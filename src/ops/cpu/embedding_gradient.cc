#include "ops/embedding_gradient.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "ops/packed_matrix.h"

namespace stablelm {
namespace {

// A task adds a few ids in a block of columns, so that a frequent id has work for many threads.
constexpr size_t kStep = 16, kTaskColumns = 1024;
// Columns of a panel that stay in the first cache level while the rows of its ids are added: 8 KiB.
constexpr size_t kPanelColumns = 64;

// Columns [begin, end) of the table's rows of ids in one panel (packed), or of one id: rows `order` of dy.
void AddRows(const EmbeddingGradientInput& in, std::span<const int32_t> order, size_t begin, size_t end) {
  const size_t width = static_cast<size_t>(in.width), block = in.packed ? kPanelColumns : end - begin;
  for (; begin < end; begin += block) {
    const size_t stop = std::min(begin + block, end);
    for (const int32_t r : order) {
      const size_t id = static_cast<size_t>(in.ids[static_cast<size_t>(r)]);
      const float* const from = in.dy + static_cast<size_t>(r) * width;
      if (in.packed) {
        float* const to = in.d_table + id / kPanelRows * width * kPanelRows + id % kPanelRows;
        for (size_t c = begin; c < stop; ++c) to[c * kPanelRows] += from[c];
      } else {
        float* const to = in.d_table + id * width;
        for (size_t c = begin; c < stop; ++c) to[c] += from[c];
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
  const size_t width = static_cast<size_t>(in.width);
  const size_t blocks = (width + kTaskColumns - 1) / kTaskColumns, steps = (n + kStep - 1) / kStep;
  exec.pool().ForEach(steps * blocks, [&](size_t task, size_t) {
    const size_t column = task % blocks * kTaskColumns;
    // A step does the groups that begin in it.
    size_t begin = task / blocks * kStep;
    const size_t end = std::min(n, begin + kStep);
    while (begin < end && begin > 0 && same_group(begin - 1, begin)) ++begin;
    while (begin < end) {
      size_t next = begin + 1;
      while (next < n && same_group(begin, next)) ++next;
      AddRows(in, in.order.subspan(begin, next - begin), column, std::min(width, column + kTaskColumns));
      begin = next;
    }
  });
}

}  // namespace stablelm
