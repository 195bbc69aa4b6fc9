// MatMul for weights packed for Compute::kFast. Internal to ops: callers use ops/matmul.h.
#pragma once

#include "ops/matmul.h"

namespace stablelm {

void FastMatMul(const MatMulInput& in, ExecutionContext& exec);

}  // namespace stablelm
