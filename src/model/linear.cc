#include "model/linear.h"

#include "ops/matmul.h"

namespace stablelm {

void Linear::Apply(const ProductRows& x, float* y, ExecutionContext& exec) const {
  MatMul({.x = x.x,
          .m = x.rows,
          .w = &weight_,
          .bias = bias_,
          .y = y,
          .prologue = x.prologue,
          .applied = x.applied,
          .rows_as = rows_as_},
         exec);
}

}  // namespace stablelm
