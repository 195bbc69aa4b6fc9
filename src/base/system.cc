#include "base/system.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <limits>
#include <set>
#include <string>

namespace stablelm {
namespace {

std::string FirstLine(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

// The value in bytes of "Name:   123 kB" in a /proc file; 0 when absent.
uint64_t ProcField(const char* path, const std::string& name) {
  std::ifstream in(path);
  std::string line;
  while (std::getline(in, line)) {
    if (line.starts_with(name + ":")) return std::strtoull(line.c_str() + name.size() + 1, nullptr, 10) * 1024;
  }
  return 0;
}

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

uint64_t NumberOrUnlimited(const std::string& text) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return kUnlimited;
  return std::strtoull(text.c_str(), nullptr, 10);
}

// CPU quota in cores (cgroup v2, then v1); 0 when there is none.
size_t QuotaCores() {
  double quota = 0, period = 0;
  if (std::ifstream in("/sys/fs/cgroup/cpu.max"); in >> quota >> period) {
  } else {
    quota = std::atof(FirstLine("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").c_str());
    period = std::atof(FirstLine("/sys/fs/cgroup/cpu/cpu.cfs_period_us").c_str());
  }
  if (quota <= 0 || period <= 0) return 0;
  return std::max<size_t>(1, static_cast<size_t>(quota / period));
}

}  // namespace

size_t PhysicalCores() {
  std::set<std::string> cores;  // the SMT sibling list identifies a core
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &mask)) continue;
      std::string siblings =
          FirstLine("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
      cores.insert(siblings.empty() ? std::to_string(cpu) : siblings);
    }
  }
  size_t n = std::max<size_t>(1, cores.size());
  if (const size_t quota = QuotaCores()) n = std::min(n, quota);
  return n;
}

std::string CpuModelName() {
  std::ifstream in("/proc/cpuinfo");
  std::string line;
  while (std::getline(in, line)) {
    if (line.starts_with("model name")) {
      const size_t colon = line.find(": ");
      if (colon != std::string::npos) return line.substr(colon + 2);
    }
  }
  return "unknown";
}

MemoryUse ReadMemoryUse() {
  const char* path = "/proc/self/status";
  return {ProcField(path, "RssAnon"), ProcField(path, "VmRSS"), ProcField(path, "VmHWM")};
}

uint64_t TotalMemory() {
  uint64_t total = ProcField("/proc/meminfo", "MemTotal");
  total = std::min(total, NumberOrUnlimited(FirstLine("/sys/fs/cgroup/memory.max")));
  return std::min(total, NumberOrUnlimited(FirstLine("/sys/fs/cgroup/memory/memory.limit_in_bytes")));
}

uint64_t AvailableMemory() {
  uint64_t available = ProcField("/proc/meminfo", "MemAvailable");
  // A cgroup counts file pages too, but reclaims them under pressure: subtract only its anonymous memory.
  const uint64_t limit = NumberOrUnlimited(FirstLine("/sys/fs/cgroup/memory.max"));
  if (limit != kUnlimited) {
    uint64_t anon = 0;
    std::ifstream in("/sys/fs/cgroup/memory.stat");
    std::string key;
    uint64_t value = 0;
    while (in >> key >> value) {
      if (key == "anon") anon = value;
    }
    available = std::min(available, limit > anon ? limit - anon : 0);
  }
  return available;
}

std::string Rounded(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string HumanBytes(uint64_t bytes) {
  constexpr std::array<const char*, 5> units = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text,
                unit == 0       ? "%.0f %s"
                : value < 9.995 ? "%.2f %s"
                : value < 99.95 ? "%.1f %s"
                                : "%.0f %s",
                value, units[unit]);
  return text;
}

}  // namespace stablelm
