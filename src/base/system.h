// What this machine offers and what this process uses: cores and memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace stablelm {

// Physical cores that this process may run on: its affinity mask without second hardware threads, capped by the control
// group's CPU quota. At least 1.
size_t PhysicalCores();

std::string CpuModelName();  // "unknown" when the system does not say

struct MemoryUse {
  uint64_t anonymous = 0;      // RssAnon: heap and buffers; pages of mapped files are not in it
  uint64_t resident = 0;       // VmRSS
  uint64_t peak_resident = 0;  // VmHWM
};
MemoryUse ReadMemoryUse();

// Bytes that can still be allocated without swapping: MemAvailable, capped by the control group's limit.
uint64_t AvailableMemory();
uint64_t TotalMemory();

// "3.64 GB", "512 B": decimal units, three digits.
std::string HumanBytes(uint64_t bytes);
// "12.50": so many digits behind the point.
std::string Rounded(double value, int digits);

}  // namespace stablelm
