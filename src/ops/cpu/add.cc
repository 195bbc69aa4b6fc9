#include "ops/add.h"

namespace stablelm {

// Plain loops: one addition per element is limited by memory, and every compiler vectorises it with the same bits.
void Add(const float* a, const float* x, float* y, size_t n, ExecutionContext& exec) {
  exec.pool().ForRanges(n, 16384, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) y[i] = a[i] + x[i];
  });
}

void AddPair(const float* m, const float* a, const float* x, float* y, size_t n, ExecutionContext& exec) {
  exec.pool().ForRanges(n, 16384, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) y[i] = (m[i] + a[i]) + x[i];
  });
}

void Scale(float factor, const float* x, float* y, size_t n, ExecutionContext& exec) {
  exec.pool().ForRanges(n, 16384, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) y[i] = factor * x[i];
  });
}

}  // namespace stablelm
