// Cores and memory of this machine, and the memory use of this process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace stablelm {

// Physical cores that this process may use: its affinity mask without SMT siblings, capped by the cgroup's CPU quota.
// At least 1.
size_t PhysicalCores();

std::string CpuModelName();  // "unknown" when the system does not say

struct MemoryUse {
  uint64_t anonymous = 0;      // RssAnon: heap and buffers, without pages of mapped files
  uint64_t resident = 0;       // VmRSS
  uint64_t peak_resident = 0;  // VmHWM
};
MemoryUse ReadMemoryUse();

// Bytes that can still be allocated without swapping: MemAvailable, capped by the cgroup's memory limit.
uint64_t AvailableMemory();
uint64_t TotalMemory();

// "3.64 GB", "512 B": decimal units, three significant digits.
std::string HumanBytes(uint64_t bytes);
// "12.50": `digits` decimal places.
std::string Rounded(double value, int digits);

}  // namespace stablelm
