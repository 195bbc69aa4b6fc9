// What this machine can do, measured: reading memory and multiplying, the speeds that the model's are judged by.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/repeated_timing.h"
#include "base/thread_pool.h"

namespace stablelm {

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
// How to measure.
struct ProbeOptions {
  uint64_t samples = 1;  // of each speed, after one that warms up
  bool show_progress = false;
  BeforeSample before_sample = [] {};
};

// Every way to read. Throws Error when `bytes` do not fit into memory.
MemorySpeed MeasureMemory(ThreadPool& pool, uint64_t bytes, const ProbeOptions& options);

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
std::vector<ComputeSpeed> MeasureCompute(ThreadPool& pool, const ProbeOptions& options);
// Of the target in use alone; no progress is shown.
ComputeSpeed MeasureComputeInUse(ThreadPool& pool, const ProbeOptions& options);

}  // namespace stablelm
