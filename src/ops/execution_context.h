// Where an operation runs: its threads and their scratch memory, allocated before the first token. Every operation on
// activations takes one, and no other argument that says where to run.
//
// One forward pass uses a context at a time. The pool is not owned and must outlive the context.
#pragma once

#include <cstddef>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"

namespace stablelm {

class ExecutionContext {
 public:
  // For products of at most `max_rows` rows with matrices of at most `max_k` columns; other operations need no more.
  // Throws Error when there is not enough memory.
  ExecutionContext(ThreadPool& pool, size_t max_rows, size_t max_k);
  // With this number of prepared floats: for training, whose products need more (ops/matmul_backward.h).
  ExecutionContext(ThreadPool& pool, size_t prepared_floats);
  // Floats that products of `rows` rows with matrices of `k` columns prepare.
  static size_t PreparedFloats(size_t rows, size_t k);
  // Bytes that a context allocates, for the memory plan.
  static size_t Bytes(size_t threads, size_t max_rows, size_t max_k) {
    return Bytes(threads, PreparedFloats(max_rows, max_k));
  }
  static size_t Bytes(size_t threads, size_t prepared_floats) {
    return sizeof(float) * (prepared_floats + threads * kWorkerFloats);
  }

  ThreadPool& pool() const { return pool_; }
  // The left matrix of a product in its kernel's format: split into pieces, rounded, or quantized.
  float* prepared_rows() { return prepared_.data(); }
  size_t prepared_capacity() const { return prepared_.size(); }  // in floats
  // Scratch of one worker of the pool: kWorkerFloats floats, 64-byte aligned.
  float* worker_scratch(size_t worker) { return workers_.data() + worker * kWorkerFloats; }

  static constexpr size_t kWorkerFloats = size_t{144} << 10;

 private:
  ThreadPool& pool_;
  AlignedBuffer<float> prepared_;
  AlignedBuffer<float> workers_;
};

}  // namespace stablelm
