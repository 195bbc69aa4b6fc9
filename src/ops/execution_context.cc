#include "ops/execution_context.h"

#include <algorithm>

#include "ops/cpu/amx.h"
#include "ops/cpu/matmul_amx.h"

namespace stablelm {

size_t ExecutionContext::PreparedFloats(size_t rows, size_t k) {
  const size_t floats = PreparedAtOnce(rows, k);
  return AmxUsable() ? std::max(floats, AmxCutFloats(rows, k)) : floats;
}

ExecutionContext::ExecutionContext(ThreadPool& pool, size_t max_rows, size_t max_k)
    : ExecutionContext(pool, PreparedFloats(max_rows, max_k)) {}

ExecutionContext::ExecutionContext(ThreadPool& pool, size_t prepared_floats)
    : pool_(pool),
      prepared_(prepared_floats, "activations prepared for products"),
      workers_(pool.NumThreads() * kWorkerFloats, "kernel scratch") {}

}  // namespace stablelm
