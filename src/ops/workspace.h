// Scratch memory of the operations, allocated once: the operations themselves allocate nothing.
#pragma once

#include <cstddef>

#include "base/aligned_buffer.h"

namespace stablelm {

// One workspace serves one forward pass at a time. `max_rows` bounds the rows (M) of a product, `max_k` its inner
// length.
class Workspace {
 public:
  Workspace(size_t threads, size_t max_rows, size_t max_k);
  static size_t Bytes(size_t threads, size_t max_rows, size_t max_k);  // what a workspace takes, for the memory plan

  // Rows of the left matrix, cut (CutRow in ops/cpu/matmul_cpu.h, ops/cpu/matmul_amx.h).
  float* cut_rows() { return cut_.data(); }
  size_t cut_capacity() const { return cut_.size(); }
  // Scratch of one worker, at least kWorkerFloats floats.
  float* worker(size_t index) { return workers_.data() + index * kWorkerFloats; }
  size_t threads() const { return threads_; }

  static constexpr size_t kWorkerFloats = size_t{144} << 10;

 private:
  size_t threads_;
  AlignedBuffer<float> cut_;
  AlignedBuffer<float> workers_;
};

}  // namespace stablelm
