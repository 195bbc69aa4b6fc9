#include "ops/matmul.h"

#include <algorithm>

#include "base/error.h"
#include "ops/matmul_cpu.h"

namespace stablelm {
namespace {

// Bytes of weights that one task of a streamed product reads: small enough to even out threads of unequal speed, large
// enough for the streams to get going.
constexpr size_t kStreamTaskBytes = size_t{1} << 20;

}  // namespace

void MatMul(const MatMulInput& in, ThreadPool& pool, Workspace& workspace) {
  STABLELM_CHECK(in.w.device == Device::kCpu && in.w.shape.rank() == 2);
  STABLELM_CHECK(in.w.dtype == DType::kF32 || in.w.dtype == DType::kF16 || in.w.dtype == DType::kBF16);
  const size_t m = static_cast<size_t>(in.m);
  const size_t n_out = static_cast<size_t>(in.w.shape[0]);
  const size_t k = static_cast<size_t>(in.w.shape[1]);
  if (m == 0 || n_out == 0) return;
  STABLELM_CHECK(PackedFloats(m, k) <= workspace.packed_capacity());
  STABLELM_CHECK(pool.NumThreads() <= workspace.threads());

  float* packed = workspace.packed_rows();
  const auto pack = [&](size_t begin, size_t end) { PackRows(in.x, m, k, begin, end, packed); };
  if (m * k < (size_t{1} << 16)) {
    pack(0, m);
  } else {
    pool.ForRanges(m, 1, pack);
  }
  const MatMulJob job = {.x = {.data = packed, .rows = m, .k = k},
                         .w = in.w.data,
                         .w_type = in.w.dtype,
                         .n_out = n_out,
                         .bias = in.bias,
                         .y = in.y};
  const bool streamed = m <= kMaxStreamedRows;
  const size_t row_bytes = std::max<size_t>(1, k * BytesOf(in.w.dtype));
  const size_t tiles_per_thread = n_out / kTileColumns / pool.NumThreads();
  const size_t columns = streamed ? std::max<size_t>(16, kStreamTaskBytes / row_bytes / 16 * 16)
                                  : kTileColumns * std::clamp<size_t>(tiles_per_thread / 32, 1, 8);
  const auto task = [&](size_t index, size_t worker) {
    const size_t begin = index * columns;
    const size_t end = std::min(n_out, begin + columns);
    if (streamed) {
      MatMulStreamed(job, begin, end);
    } else {
      MatMulTiled(job, begin, end, workspace.worker(worker));
    }
  };
  pool.ForEach((n_out + columns - 1) / columns, task);
}

}  // namespace stablelm
