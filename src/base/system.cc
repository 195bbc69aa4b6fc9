#include "base/system.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace stablelm {
namespace {

std::string FirstLine(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

// The value in bytes of "Name:   123 kB" in a file of /proc; nullopt when absent.
std::optional<uint64_t> ProcField(const std::string& path, const std::string& name) {
  std::ifstream in(path);
  std::string line;
  while (std::getline(in, line)) {
    if (line.starts_with(name + ":")) return std::strtoull(line.c_str() + name.size() + 1, nullptr, 10) * 1024;
  }
  return std::nullopt;
}

// "max" and the largest number that v1 writes are no limit.
std::optional<uint64_t> LimitOf(const std::string& text) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  const uint64_t value = std::strtoull(text.c_str(), nullptr, 10);
  return value < (uint64_t{1} << 62) ? std::optional(value) : std::nullopt;
}

// A control group that bounds this process: its own or one above it.
struct Group {
  std::string folder;  // of its files
  std::string name;    // "/user.slice"
  bool v2;
};

// The groups of a controller ("memory", "cpu"), the process's own first. A container may show the path that the group
// has outside: of that only the end of the way up, its own root, exists here.
std::vector<Group> GroupsOf(const std::string& controller, const SystemFolders& system) {
  std::vector<Group> groups;
  const auto add = [&](const std::string& mount, std::string path, bool v2) {
    for (;;) {
      std::error_code ignored;
      if (std::filesystem::is_directory(mount + path, ignored))
        groups.push_back({mount + path, path.empty() ? "/" : path, v2});
      if (path.empty()) return;
      path.erase(path.rfind('/'));
    }
  };
  // Lines "0::PATH" (v2) and "NUMBER:CONTROLLER,CONTROLLER:PATH" (v1).
  std::ifstream in(system.proc + "/self/cgroup");
  std::string line;
  bool any = false;
  while (std::getline(in, line)) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (path.empty() || path[0] != '/' || path.find("/..") != std::string::npos) path = "/";
    if (path.ends_with('/')) path.pop_back();
    any = true;
    if (controllers.empty()) {
      add(system.cgroup, path, true);
      add(system.cgroup + "/unified", path, true);
    } else if (("," + controllers + ",").find("," + controller + ",") != std::string::npos) {
      add(system.cgroup + "/" + controller, path, false);
    }
  }
  if (!any) {  // no /proc: what is mounted is all there is
    add(system.cgroup, "", true);
    add(system.cgroup + "/" + controller, "", false);
  }
  return groups;
}

// The smallest CPU quota in cores; 0 when there is none.
size_t QuotaCores(const SystemFolders& system) {
  double least = 0;
  for (const Group& group : GroupsOf("cpu", system)) {
    double quota = 0, period = 0;
    if (group.v2) {
      std::ifstream in(group.folder + "/cpu.max");
      in >> quota >> period;  // "max 100000" leaves the quota 0
    } else {
      quota = std::atof(FirstLine(group.folder + "/cpu.cfs_quota_us").c_str());
      period = std::atof(FirstLine(group.folder + "/cpu.cfs_period_us").c_str());
    }
    if (quota <= 0 || period <= 0) continue;
    least = least == 0 ? quota / period : std::min(least, quota / period);
  }
  return least == 0 ? 0 : std::max<size_t>(1, static_cast<size_t>(least));
}

// Bytes that the group and those below it hold and that cannot be reclaimed: without file pages.
uint64_t HeldBy(const Group& group) {
  std::ifstream in(group.folder + "/memory.stat");
  uint64_t held = 0, value = 0;
  std::string key;
  while (in >> key >> value) {
    if (group.v2 ? key == "anon" || key == "shmem" : key == "total_rss" || key == "total_shmem") held += value;
  }
  return held;
}

// The limits of the process itself. Pages of mapped files count in the first.
MemoryLimit BoundedByProcess(MemoryLimit limit, const SystemFolders& system, bool less_held) {
  struct Kind {
    decltype(RLIMIT_AS) resource;
    const char *used, *name;
  };
  constexpr Kind kKinds[] = {{RLIMIT_AS, "VmSize", "the limit of address space (ulimit -v)"},
                             {RLIMIT_DATA, "VmData", "the limit of data (ulimit -d)"}};
  for (const Kind& kind : kKinds) {
    rlimit set = {};
    if (getrlimit(kind.resource, &set) != 0 || set.rlim_cur == RLIM_INFINITY) continue;
    const uint64_t held = less_held ? ProcField(system.proc + "/self/status", kind.used).value_or(0) : 0;
    const uint64_t left = set.rlim_cur - std::min<uint64_t>(set.rlim_cur, held);
    if (left < limit.bytes) limit = {left, kind.name};
  }
  return limit;
}

MemoryLimit Bounded(MemoryLimit limit, const SystemFolders& system, bool less_held) {
  for (const Group& group : GroupsOf("memory", system)) {
    const auto bound = LimitOf(FirstLine(group.folder + (group.v2 ? "/memory.max" : "/memory.limit_in_bytes")));
    if (!bound) continue;
    const uint64_t held = less_held ? HeldBy(group) : 0;
    const uint64_t left = *bound - std::min(*bound, held);
    if (left < limit.bytes) limit = {left, "the control group " + group.name};
  }
  return BoundedByProcess(limit, system, less_held);
}

}  // namespace

size_t PhysicalCores(const SystemFolders& system) {
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
  if (const size_t quota = QuotaCores(system)) n = std::min(n, quota);
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
  const auto field = [](const char* name) { return ProcField("/proc/self/status", name).value_or(0); };
  return {field("RssAnon"), field("VmRSS"), field("VmHWM")};
}

MemoryLimit TotalMemory(const SystemFolders& system) {
  MemoryLimit limit;
  if (const auto total = ProcField(system.proc + "/meminfo", "MemTotal")) limit = {*total, "this machine"};
  return Bounded(limit, system, false);
}

MemoryLimit AvailableMemory(const SystemFolders& system) {
  MemoryLimit limit;
  if (const auto available = ProcField(system.proc + "/meminfo", "MemAvailable")) limit = {*available, "this machine"};
  return Bounded(limit, system, true);
}

std::string HumanBytes(const MemoryLimit& limit) { return limit.known() ? HumanBytes(limit.bytes) : "unknown"; }

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
