// What this machine can do, measured: reading memory and multiplying, the speeds that the model's are judged by.
//
// Ctrl-C ends a measurement with InterruptedExit; the caller holds the InterruptGuard.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "cli/commands/sampling.h"

namespace stablelm {

std::string ThreadsText(size_t n_threads);  // "1 thread", "2 threads"

struct ReadSpeed {
  size_t streams = 0;         // per thread
  const char* prefetch = "";  // "no", "near", "far"
  bool huge_pages = false;    // asked for; the system may have none
  Samples gb_per_s;
};
struct MemorySpeed {
  uint64_t bytes = 0;  // read in each sample, all threads together
  std::vector<ReadSpeed> ways;
  size_t best = 0;
};
// Every way to read, `samples` times each after one that warms up. Throws Error when `bytes` do not fit into memory.
MemorySpeed MeasureMemory(ThreadPool& pool, uint64_t bytes, uint64_t samples, bool show_progress);

// All threads at once, as the work that is judged by it: the clock may be lower than with one.
struct ComputeSpeed {
  std::string target;  // of SIMD
  bool in_use = false;
  size_t lanes = 0;          // floats in a vector
  Samples fp32_gflops = {};  // multiply-adds
  Samples bf16_gflops = {};  // pairs of bf16 numbers to fp32 sums; zero where the target has no instruction for it
  Samples int8_gops = {};  // unsigned times signed bytes, added up in 32 bits; zero where the target has no instruction
};
// Of every target that this machine can run, best first.
std::vector<ComputeSpeed> MeasureCompute(ThreadPool& pool, uint64_t samples, bool show_progress);
// Of the target in use alone.
ComputeSpeed MeasureComputeInUse(ThreadPool& pool, uint64_t samples);

}  // namespace stablelm
