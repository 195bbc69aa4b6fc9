#include "ops/gather_rows.h"

#include <algorithm>

namespace stablelm {

// One thread: the rows of a whole batch are a small part of what the next projection reads.
void GatherRows(const float* x, size_t width, std::span<const RowRange> ranges, float* y, ExecutionContext&) {
  for (const RowRange& range : ranges) {
    const size_t rows = static_cast<size_t>(range.end - range.begin);
    y = std::copy_n(x + static_cast<size_t>(range.begin) * width, rows * width, y);
  }
}

void GatherRows(const float* x, size_t width, std::span<const int64_t> indices, float* y, ExecutionContext& exec) {
  exec.pool().ForRanges(indices.size(), 16, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      std::copy_n(x + static_cast<size_t>(indices[i]) * width, width, y + i * width);
    }
  });
}

void ScatterRows(const float* x, size_t width, std::span<const int64_t> indices, float* y, ExecutionContext& exec) {
  exec.pool().ForRanges(indices.size(), 16, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      std::copy_n(x + i * width, width, y + static_cast<size_t>(indices[i]) * width);
    }
  });
}

}  // namespace stablelm
