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
  if (m > kMaxStreamedRows) {
    ForTiledParts(panels, m, exec, [&](const TiledPart& part, size_t worker) {
      FastMatMulTiled(job, part, exec.worker_scratch(worker));
    });
    return;
  }
  exec.pool().ForEach((panels + kStreamedTaskPanels - 1) / kStreamedTaskPanels, [&](size_t index, size_t) {
    const size_t begin = index * kStreamedTaskPanels;
    FastMatMulStreamed(job, begin, std::min(panels, begin + kStreamedTaskPanels));
  });
}

}  // namespace stablelm
