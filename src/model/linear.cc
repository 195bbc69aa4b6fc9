#include "model/linear.h"

#include "ops/matmul.h"

namespace stablelm {

void Linear::Apply(const float* x, int64_t rows, float* y, ThreadPool& pool, Workspace& workspace) const {
  MatMul({.x = x, .m = rows, .w = weight_, .bias = bias_, .y = y}, pool, workspace);
}

}  // namespace stablelm
