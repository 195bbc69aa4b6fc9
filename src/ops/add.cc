#include "ops/add.h"

namespace stablelm {

// Plain loops: one addition per element is limited by memory, and every compiler vectorises it with the same bits.
void AddInPlace(const float* a, float* x, size_t n, ThreadPool& pool) {
  pool.ForRanges(n, 16384, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) x[i] = a[i] + x[i];
  });
}

void AddPairInPlace(const float* m, const float* a, float* x, size_t n, ThreadPool& pool) {
  pool.ForRanges(n, 16384, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) x[i] = (m[i] + a[i]) + x[i];
  });
}

}  // namespace stablelm
