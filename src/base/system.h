// Cores and memory of this machine, and the memory use of this process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

namespace stablelm {

// Where the system tells of itself: other folders are for tests.
struct SystemFolders {
  std::string proc = "/proc";
  std::string cgroup = "/sys/fs/cgroup";
};

// Physical cores that this process may use: its affinity mask without SMT siblings, capped by the CPU quotas of its
// control group and of all groups above (cgroup v1 and v2). At least 1.
size_t PhysicalCores(const SystemFolders& system = {});

std::string CpuModelName();  // "unknown" when the system does not say

struct MemoryUse {
  uint64_t anonymous = 0;      // RssAnon: heap and buffers, without pages of mapped files
  uint64_t resident = 0;       // VmRSS
  uint64_t peak_resident = 0;  // VmHWM
};
MemoryUse ReadMemoryUse();

struct MemoryLimit {
  uint64_t bytes = std::numeric_limits<uint64_t>::max();  // the largest number: unknown, so nothing is refused
  // What sets it: "this machine", "the control group /user.slice", "the limit of data (ulimit -d)"; empty: unknown.
  std::string by;
  bool known() const { return !by.empty(); }
};
// What can still be allocated without swapping: MemAvailable, capped by the memory limits of the process's control
// group and of all groups above (cgroup v1 and v2), less what they hold that cannot be reclaimed, and by the process's
// own limits (ulimit -v and -d), less what it has.
MemoryLimit AvailableMemory(const SystemFolders& system = {});
// All memory that this process could ever have: MemTotal, capped by the same limits.
MemoryLimit TotalMemory(const SystemFolders& system = {});

// HumanBytes, or "unknown".
std::string HumanBytes(const MemoryLimit& limit);
// "3.64 GB", "512 B": decimal units, three significant digits.
std::string HumanBytes(uint64_t bytes);
// "12.50": `digits` decimal places.
std::string Rounded(double value, int digits);

}  // namespace stablelm
