// The machine's peaks, by which `bench model` judges a model: measured, or read from a file of an earlier measurement.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/thread_pool.h"
#include "cli/app/output.h"
#include "ops/probe/machine_speed.h"

namespace stablelm {

// Medians; 0 where the machine has no such instruction.
struct MachinePeaks {
  double memory_gb_per_s = 0;
  double fp32_gflops = 0, bf16_gflops = 0, int8_gops = 0;
};

MachinePeaks MeasurePeaks(ThreadPool& pool, const ProbeOptions& options);

// "memory 20.1 GB/s, fp32 230 Gflop/s, bf16 460 Gflop/s, int8 900 Gop/s; "
std::string PeaksText(const MachinePeaks& peaks);

// The peaks of `file`, a line of JSON; nullopt without such a file, or, with a note, when it is of another processor,
// SIMD target or number of threads. Throws Error for a file with other contents, or that could not be written.
std::optional<MachinePeaks> ReadPeaks(const std::string& file, uint64_t threads, Output& out);
void WritePeaks(const std::string& file, const MachinePeaks& peaks, uint64_t threads);

}  // namespace stablelm
