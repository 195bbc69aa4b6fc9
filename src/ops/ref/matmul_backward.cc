#include "ops/ref/matmul_backward.h"

#include <algorithm>
#include <vector>

#include "ops/matmul_backward.h"
#include "ops/prologue.h"

namespace stablelm {

void MatMulInputGradientRef(const InputGradient& in) {
  const size_t rows = static_cast<size_t>(in.m), n = in.w->rows(), k = in.w->columns();
  std::vector<float> w(n * k);
  for (size_t i = 0; i < n; ++i) in.w->UnpackRow(i, w.data() + i * k);
  InputGradientPlain(in.dy, w.data(), rows, n, k, in.add, in.dx);
}

void MatMulWeightGradientRef(const WeightGradient& in) {
  const size_t rows = static_cast<size_t>(in.x.rows), n = static_cast<size_t>(in.n), k = static_cast<size_t>(in.k);
  std::vector<float> x(rows * k), dw(n * k);
  for (size_t r = 0; r < rows; ++r) {
    const float* const row = ApplyPrologueToRow(in.x.prologue, in.x.x + r * k, k, x.data() + r * k);
    std::copy_n(row, k, x.data() + r * k);
  }
  const auto at = [&](size_t i, size_t c) { return (i / kPanelRows * k + c) * kPanelRows + i % kPanelRows; };
  for (size_t i = 0; i < n; ++i) {
    for (size_t c = 0; c < k; ++c) dw[i * k + c] = in.add ? in.dw[at(i, c)] : 0;
  }
  WeightGradientPlain(in.dy, x.data(), rows, n, k, dw.data());
  for (size_t i = 0; i < (n + kPanelRows - 1) / kPanelRows * kPanelRows; ++i) {
    for (size_t c = 0; c < k; ++c) in.dw[at(i, c)] = i < n ? dw[i * k + c] : 0;
  }
}

}  // namespace stablelm
