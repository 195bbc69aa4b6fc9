#include "ops/column_sums.h"

#include <algorithm>

namespace stablelm {
namespace {

// Columns of one block: its sums stay in the first cache level.
constexpr size_t kBlock = 4096;

// sums [width] += x [rows, width], row after row. Rows are read eight at a time, so that the sums are loaded and stored
// less often; every compiler vectorises across columns, which keeps the order of each.
void AddRows(const float* x, size_t stride, size_t rows, size_t width, float* sums) {
  size_t r = 0;
  for (; r + 8 <= rows; r += 8) {
    const float* const from = x + r * stride;
    for (size_t c = 0; c < width; ++c) {
      float sum = sums[c];
      sum += from[c];
      sum += from[c + stride];
      sum += from[c + 2 * stride];
      sum += from[c + 3 * stride];
      sum += from[c + 4 * stride];
      sum += from[c + 5 * stride];
      sum += from[c + 6 * stride];
      sum += from[c + 7 * stride];
      sums[c] = sum;
    }
  }
  for (; r < rows; ++r) {
    for (size_t c = 0; c < width; ++c) sums[c] += x[r * stride + c];
  }
}

}  // namespace

void ColumnSums(const ColumnSumsInput& in, ExecutionContext& exec) {
  if (in.width == 0) return;
  // Whole cache lines, and a block for each thread at least when the matrix is wide enough.
  const size_t per_thread = (in.width + exec.pool().NumThreads() - 1) / exec.pool().NumThreads();
  const size_t block = std::min((per_thread + 15) / 16 * 16, kBlock);
  const size_t tasks = (in.width + block - 1) / block;
  exec.pool().ForEach(tasks, [&](size_t task, size_t worker) {
    const size_t begin = task * block, width = std::min(block, in.width - begin);
    float* const piece = exec.worker_scratch(worker);
    float* const sums = in.sums + begin;
    if (!in.add) std::fill_n(sums, width, 0.0f);
    for (size_t r = 0; r < in.rows; r += kColumnSumPiece) {
      std::fill_n(piece, width, 0.0f);
      AddRows(in.x + r * in.width + begin, in.width, std::min(kColumnSumPiece, in.rows - r), width, piece);
      for (size_t c = 0; c < width; ++c) sums[c] += piece[c];
    }
  });
}

}  // namespace stablelm
