#include "ops/cpu/matmul_fast.h"

#include <algorithm>

#include "base/error.h"
#include "ops/cpu/matmul_fast_cpu.h"
#include "ops/simd.h"

namespace stablelm {

void FastMatMul(const MatMulInput& in, ExecutionContext& exec) {
  const PackedMatrix& w = *in.w;
  const size_t m = static_cast<size_t>(in.m), k = w.columns(), panels = w.panels();
  STABLELM_CHECK(CutRowsFloats(m, k) <= exec.prepared_capacity());
  float* const cut = exec.prepared_rows();
  const FastJob job = {.rows = m, .w = &w, .out = OutputOf(in), .cut = cut, .bf16 = Bf16InUse()};
  TakeRows(in.rows(), k, DType::kF32, exec, [&](size_t i, const float* x) { CutFastRow(x, i, m, k, job.bf16, cut); });
  const bool streamed = m <= kMaxStreamedRows;
  const size_t each = streamed ? kStreamedTaskPanels : TiledTaskPanels(panels, exec.pool().NumThreads());
  exec.pool().ForEach((panels + each - 1) / each, [&](size_t index, size_t worker) {
    const size_t begin = index * each, end = std::min(panels, begin + each);
    streamed ? FastMatMulStreamed(job, begin, end) : FastMatMulTiled(job, begin, end, exec.worker_scratch(worker));
  });
}

}  // namespace stablelm
