#include "ops/workspace.h"

#include <algorithm>

#include "ops/cpu/amx.h"
#include "ops/cpu/matmul_amx.h"

namespace stablelm {
namespace {

size_t CutFloats(size_t rows, size_t k) {
  const size_t floats = CutRowsFloats(rows, k);
  return AmxUsable() ? std::max(floats, AmxCutFloats(rows, k)) : floats;
}

}  // namespace

Workspace::Workspace(size_t threads, size_t max_rows, size_t max_k)
    : threads_(threads),
      cut_(CutFloats(max_rows, max_k), "activations cut for products"),
      workers_(threads * kWorkerFloats, "kernel scratch") {}

size_t Workspace::Bytes(size_t threads, size_t max_rows, size_t max_k) {
  return sizeof(float) * (CutFloats(max_rows, max_k) + threads * kWorkerFloats);
}

}  // namespace stablelm
