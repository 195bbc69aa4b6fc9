// A fixed set of threads for data-parallel loops.
//
// The calling thread takes part, so a pool of n threads starts n - 1. Work is split by index only: what a task computes
// may not depend on which thread runs it, so results are the same with any number of threads.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace stablelm {

class ThreadPool {
 public:
  explicit ThreadPool(size_t threads);  // >= 1
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  size_t NumThreads() const;

  // Calls body(worker) once for every worker in [0, NumThreads()), at the same time, and returns when all are done.
  // The first exception that a body throws is thrown here. Not reentrant: a body may not call the same pool.
  void RunOnAll(const std::function<void(size_t worker)>& body);

  // Splits [0, n) into one contiguous range per worker (sizes a multiple of `grain` where possible) and calls
  // body(begin, end) for each range that is not empty: for work of equal cost per index.
  void ForRanges(size_t n, size_t grain, const std::function<void(size_t begin, size_t end)>& body);

  // Splits [0, n) as ForRanges does, but hands each worker its range in steps of `grain` indices, in order, and lets
  // workers that are done take steps of the others' ranges: for work on memory that is best read in order.
  void ForSteps(size_t n, size_t grain, const std::function<void(size_t begin, size_t end, size_t worker)>& body);

  // Hands out indices [0, n) one by one to the workers: for tasks of unequal cost.
  void ForEach(size_t n, const std::function<void(size_t index, size_t worker)>& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stablelm
