#include "ops/matmul.h"

#include <algorithm>

#include "base/error.h"
#include "ops/cpu/matmul_amx.h"
#include "ops/cpu/matmul_cpu.h"
#include "ops/cpu/matmul_fast.h"
#include "ops/cpu/matmul_quant_cpu.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

void QuantMatMul(const MatMulInput& in, ThreadPool& pool, Workspace& workspace) {
  const PackedMatrix& w = *in.w;
  const size_t m = static_cast<size_t>(in.m), k = w.columns();
  STABLELM_CHECK(QuantizedRows::Bytes(m, k, w.type()) <= workspace.cut_capacity() * sizeof(float));
  const QuantJob job = {.x = QuantizedRows::In(workspace.cut_rows(), m, k, w.type()),
                        .rows = m,
                        .w = &w,
                        .bias = in.bias,
                        .y = in.y,
                        .dots = ByteDotsInUse()};
  TakeRows(in, pool, workspace, [&](size_t i, const float* x) { job.x.Set(i, x); });
  // In order, so that what a panel asks for ahead is what its thread reads next.
  if (m >= kMinAmxRows && TilesInUse()) {
    pool.ForSteps(w.panels(), 1, [&](size_t begin, size_t end, size_t worker) {
      QuantMatMulAmx(job, begin, end, workspace.worker(worker));
    });
  } else if (m > QuantStreamedRows()) {
    pool.ForSteps(w.panels(), 1, [&](size_t begin, size_t end, size_t worker) {
      QuantMatMulTiled(job, begin, end, workspace.worker(worker));
    });
  } else {
    pool.ForSteps(QuantStreamedSteps(w.panels()), 1,
                  [&](size_t begin, size_t end, size_t) { QuantMatMulStreamed(job, begin, end); });
  }
}

void ExactMatMul(const MatMulInput& in, ThreadPool& pool, Workspace& workspace) {
  const PackedMatrix& w = *in.w;
  const size_t m = static_cast<size_t>(in.m), k = w.columns();
  STABLELM_CHECK(CutRowsFloats(m, k) <= workspace.cut_capacity());
  MatMulJob job = {.x = in.x, .rows = m, .w = &w, .bias = in.bias, .y = in.y};
  if (m <= kMaxStreamedRows) {
    const size_t tasks = (w.panels() + kStreamedTaskPanels - 1) / kStreamedTaskPanels;
    pool.ForEach(tasks, [&](size_t index, size_t) {
      const size_t begin = index * kStreamedTaskPanels;
      MatMulStreamed(job, begin, std::min(w.panels(), begin + kStreamedTaskPanels));
    });
    return;
  }
  float* const cut = workspace.cut_rows();
  TakeRows(in, pool, workspace, [&](size_t i, const float* x) { CutRow(x, i, m, k, cut); });
  job.cut = cut;
  const size_t panels = TiledTaskPanels(w.panels(), pool.NumThreads());
  pool.ForEach((w.panels() + panels - 1) / panels, [&](size_t index, size_t worker) {
    const size_t begin = index * panels;
    MatMulTiled(job, begin, std::min(w.panels(), begin + panels), workspace.worker(worker));
  });
}

// Whether rows are many enough to save traffic, and prepared one by one in any case.
bool TakesStep(size_t m, size_t k) {
  return m > kMaxStreamedRows && m * k >= kSmallWork && k <= Workspace::kWorkerFloats;
}

}  // namespace

void MatMul(const MatMulInput& in, ThreadPool& pool, Workspace& workspace) {
  STABLELM_CHECK(in.w);
  const PackedMatrix& w = *in.w;
  const size_t m = static_cast<size_t>(in.m), k = w.columns();
  if (m == 0 || w.rows() == 0) return;
  STABLELM_CHECK(pool.NumThreads() <= workspace.threads());
  if (HasStep(in.step) && !TakesStep(m, k)) {
    STABLELM_CHECK(in.stepped);
    RunStep(in.step, in.x, m, k, in.stepped, pool);
    MatMulInput plain = in;
    plain.x = in.stepped, plain.step = {};
    return MatMul(plain, pool, workspace);
  }
  if (IsQuantized(w.type())) return QuantMatMul(in, pool, workspace);
  if (TilesInUse()) return AmxMatMul(in, pool, workspace);
  if (w.compute() == Compute::kFast) return FastMatMul(in, pool, workspace);
  ExactMatMul(in, pool, workspace);
}

}  // namespace stablelm
