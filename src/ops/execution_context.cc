#include "ops/execution_context.h"

#include <algorithm>

#include "ops/cpu/amx.h"
#include "ops/cpu/matmul_amx.h"

namespace stablelm {
namespace {

size_t PreparedFloats(size_t rows, size_t k) {
  const size_t floats = CutRowsFloats(rows, k);
  return AmxUsable() ? std::max(floats, AmxCutFloats(rows, k)) : floats;
}

}  // namespace

ExecutionContext::ExecutionContext(ThreadPool& pool, size_t max_rows, size_t max_k)
    : pool_(pool),
      prepared_(PreparedFloats(max_rows, max_k), "activations prepared for products"),
      workers_(pool.NumThreads() * kWorkerFloats, "kernel scratch") {}

size_t ExecutionContext::Bytes(size_t threads, size_t max_rows, size_t max_k) {
  return sizeof(float) * (PreparedFloats(max_rows, max_k) + threads * kWorkerFloats);
}

}  // namespace stablelm
