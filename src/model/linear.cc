#include "model/linear.h"

#include "ops/matmul.h"

namespace stablelm {

Linear Linear::WithAdapters(std::vector<Adapter> adapters) const {
  return Linear(PackedMatrix::View(weight_.type(), rows(), columns(), weight_.compute(), weight_.panel(0)), bias_,
                rows_as_, std::move(adapters));
}

void Linear::Apply(const ProductRows& x, float* y, ExecutionContext& exec, const AdapterDropout* dropout) const {
  ProductRows in = x;
  if (!adapters_.empty() && x.has_prologue()) {  // the adapters read its result, too
    ApplyPrologue(x, static_cast<size_t>(columns()), exec);
    in = {.x = x.applied, .rows = x.rows};
  }
  MatMul({.x = in.x,
          .m = in.rows,
          .w = &weight_,
          .bias = bias_,
          .y = y,
          .prologue = in.prologue,
          .applied = in.applied,
          .rows_as = rows_as_},
         exec);
  AddAdapters(adapters_, in.x, in.rows, y, exec, dropout);
}

}  // namespace stablelm
