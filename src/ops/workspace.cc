#include "ops/workspace.h"

#include "ops/matmul_cpu.h"

namespace stablelm {

Workspace::Workspace(size_t threads, size_t max_rows, size_t max_k)
    : threads_(threads),
      cut_(CutRowsFloats(max_rows, max_k), "activations cut for products"),
      workers_(threads * kWorkerFloats, "kernel scratch") {}

size_t Workspace::Bytes(size_t threads, size_t max_rows, size_t max_k) {
  return sizeof(float) * (CutRowsFloats(max_rows, max_k) + threads * kWorkerFloats);
}

}  // namespace stablelm
