#include "ops/matmul.h"

#include <algorithm>

#include "base/error.h"
#include "ops/cpu/matmul_amx.h"
#include "ops/cpu/matmul_cpu.h"
#include "ops/cpu/matmul_fast.h"
#include "ops/cpu/matmul_quant_cpu.h"
#include "ops/cpu/stream_prefetch.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

void QuantMatMul(const MatMulInput& in, ExecutionContext& exec) {
  const PackedMatrix& w = *in.w;
  const size_t m = static_cast<size_t>(in.m), k = w.columns();
  STABLELM_CHECK(QuantizedRows::Bytes(m, k, w.type()) <= exec.prepared_capacity() * sizeof(float));
  const QuantJob job = {.x = QuantizedRows::In(exec.prepared_rows(), m, k, w.type()),
                        .rows = m,
                        .w = &w,
                        .out = OutputOf(in),
                        .dots = ByteDotsInUse(),
                        .far = AsksFar(w)};
  TakeRows(in.rows(), k, in.rows_as, exec, [&](size_t i, const float* x) { job.x.Set(i, x); });
  // In order, so that a panel prefetches what its thread reads next.
  if (m >= kMinAmxRows && TilesInUse()) {
    exec.pool().ForSteps(w.panels(), 1, [&](size_t begin, size_t end, size_t worker) {
      QuantMatMulAmx(job, begin, end, exec.worker_scratch(worker));
    });
  } else if (m > QuantStreamedRows()) {
    exec.pool().ForSteps(w.panels(), 1, [&](size_t begin, size_t end, size_t worker) {
      QuantMatMulTiled(job, begin, end, exec.worker_scratch(worker));
    });
  } else {
    exec.pool().ForSteps(QuantStreamedSteps(w.panels()), 1,
                         [&](size_t begin, size_t end, size_t) { QuantMatMulStreamed(job, begin, end); });
  }
}

void ExactMatMul(const MatMulInput& in, ExecutionContext& exec) {
  const PackedMatrix& w = *in.w;
  const size_t m = static_cast<size_t>(in.m), k = w.columns();
  STABLELM_CHECK(CutRowsFloats(m, k) <= exec.prepared_capacity());
  MatMulJob job = {.x = in.x, .rows = m, .w = &w, .out = OutputOf(in)};
  if (m <= kMaxStreamedRows) {
    if (in.rows_as != DType::kF32) {
      for (size_t i = 0; i < m; ++i) RoundRow(in.x + i * k, k, in.rows_as, exec.prepared_rows() + i * k);
      job.x = exec.prepared_rows();
    }
    const size_t tasks = (w.panels() + kStreamedTaskPanels - 1) / kStreamedTaskPanels;
    exec.pool().ForEach(tasks, [&](size_t index, size_t) {
      const size_t begin = index * kStreamedTaskPanels;
      MatMulStreamed(job, begin, std::min(w.panels(), begin + kStreamedTaskPanels));
    });
    return;
  }
  float* const cut = exec.prepared_rows();
  TakeRows(in.rows(), k, in.rows_as, exec, [&](size_t i, const float* x) { CutRow(x, i, m, k, cut); });
  job.cut = cut;
  ForTiledParts(w.panels(), m, exec,
                [&](const TiledPart& part, size_t worker) { MatMulTiled(job, part, exec.worker_scratch(worker)); });
}

// Whether the product applies the prologue: enough rows to save memory traffic, and prepared one by one in any case.
bool AppliesPrologue(size_t m, size_t k) {
  return m > kMaxStreamedRows && m * k >= kSmallWork && k <= ExecutionContext::kWorkerFloats;
}

}  // namespace

void MatMul(const MatMulInput& in, ExecutionContext& exec) {
  STABLELM_CHECK(in.w);
  const PackedMatrix& w = *in.w;
  const size_t m = static_cast<size_t>(in.m), k = w.columns();
  if (m == 0 || w.rows() == 0) return;
  if (const size_t at_once = RowsAtOnce(k); m > at_once) {
    for (size_t begin = 0; begin < m; begin += at_once) {
      MatMulInput part = in;
      part.m = static_cast<int64_t>(std::min(at_once, m - begin));
      part.x += begin * k, part.y += begin * w.rows();
      if (part.applied) part.applied += begin * k;
      MatMul(part, exec);
    }
    return;
  }
  if (in.rows().has_prologue() && !AppliesPrologue(m, k)) {
    ApplyPrologue(in.rows(), k, exec);
    MatMulInput plain = in;
    plain.x = in.applied, plain.prologue = {};
    return MatMul(plain, exec);
  }
  if (IsQuantized(w.type())) return QuantMatMul(in, exec);
  if (TilesInUse()) return AmxMatMul(in, exec);
  if (w.compute() == Compute::kFast) return FastMatMul(in, exec);
  ExactMatMul(in, exec);
}

}  // namespace stablelm
