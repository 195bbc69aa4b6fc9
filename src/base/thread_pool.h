// A fixed set of threads for data-parallel loops.
//
// The calling thread takes part, so a pool of n threads starts n - 1. Work is split by index only. A task's result must
// not depend on the thread that runs it, so results are the same with any number of threads.
#pragma once

#include <cstddef>
#include <memory>

#include "base/function_ref.h"

namespace stablelm {

class ThreadPool {
 public:
  explicit ThreadPool(size_t threads);  // >= 1
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  size_t NumThreads() const;

  // Calls body(worker) once for every worker in [0, NumThreads()), concurrently, and returns when all are done.
  // Rethrows the first exception that a body throws. Not reentrant: a body must not use the same pool.
  void RunOnAll(FunctionRef<void(size_t worker)> body);

  // Splits [0, n) into one contiguous range per worker (sizes a multiple of `grain` where possible) and calls
  // body(begin, end) for each non-empty range. For work of equal cost per index.
  void ForRanges(size_t n, size_t grain, FunctionRef<void(size_t begin, size_t end)> body);

  // Splits [0, n) as ForRanges does. Each worker processes its range in order, in steps of `grain` indices; a worker
  // that is done steals steps from other ranges. For memory that is best read sequentially.
  void ForSteps(size_t n, size_t grain, FunctionRef<void(size_t begin, size_t end, size_t worker)> body);

  // Gives the indices [0, n) to the workers one at a time. For tasks of unequal cost.
  void ForEach(size_t n, FunctionRef<void(size_t index, size_t worker)> body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stablelm
