// Measures the memory bandwidth and the arithmetic throughput of this machine, against which the speed of the model is
// judged.
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
  bool huge_pages = false;    // requested; the system may have none
  Samples gb_per_s;
};
struct MemorySpeed {
  uint64_t bytes = 0;  // read in each sample, all threads together
  std::vector<ReadSpeed> ways;
  size_t best = 0;
};
// Options of a measurement.
struct ProbeOptions {
  uint64_t samples = 1;  // of each speed, after a warm-up
  bool show_progress = false;
  BeforeSample before_sample = [] {};
};

// Measures every combination of streams, prefetch and page size. Throws Error when `bytes` do not fit into memory.
MemorySpeed MeasureMemory(ThreadPool& pool, uint64_t bytes, const ProbeOptions& options);

// With all threads at once, like the work that is compared with it: the clock may be lower than with one thread.
struct ComputeSpeed {
  std::string target;  // SIMD target
  bool in_use = false;
  size_t lanes = 0;          // floats in a vector
  Samples fp32_gflops = {};  // multiply-adds
  Samples bf16_gflops = {};  // pairs of bf16 values to fp32 sums; zero where the target has no instruction for it
  Samples int8_gops = {};    // unsigned times signed bytes, summed in 32 bits; zero where the target has no instruction
};
// Measures every target that this machine can run, best first.
std::vector<ComputeSpeed> MeasureCompute(ThreadPool& pool, const ProbeOptions& options);
// Measures the target in use alone; shows no progress.
ComputeSpeed MeasureComputeInUse(ThreadPool& pool, const ProbeOptions& options);

}  // namespace stablelm
