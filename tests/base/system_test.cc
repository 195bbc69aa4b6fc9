// What the machine grants, told by files that these tests write: control groups of both versions, and none at all.
#include "base/system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>

#include "temp_folder.h"

namespace stablelm {
namespace {

class SystemTest : public testing::Test {
 protected:
  SystemTest() : system_{(temp_.path() / "proc").string(), (temp_.path() / "cgroup").string()} {
    Write("proc/meminfo", "MemTotal:       24000 kB\nMemFree: 1 kB\nMemAvailable:   20000 kB\n");
  }
  void Write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((temp_.path() / name).parent_path());
    std::ofstream(temp_.path() / name) << text;
  }
  void ExpectAvailable(uint64_t bytes, const std::string& by) {
    EXPECT_EQ(AvailableMemory(system_).bytes, bytes);
    EXPECT_EQ(AvailableMemory(system_).by, by);
  }

  const TempFolder temp_;
  const SystemFolders system_;
};

TEST_F(SystemTest, TheMachine) {
  ExpectAvailable(20'000 * 1024, "this machine");
  EXPECT_EQ(TotalMemory(system_).bytes, 24'000u * 1024);
}

// Old kernels and sandboxes do not say: nothing may be refused then.
TEST_F(SystemTest, UnknownIsNotZero) {
  Write("proc/meminfo", "MemTotal:       24000 kB\n");
  EXPECT_FALSE(AvailableMemory(system_).known());
  EXPECT_GT(AvailableMemory(system_).bytes, uint64_t{1} << 60);
  EXPECT_EQ(HumanBytes(AvailableMemory(system_)), "unknown");
  std::filesystem::remove(temp_.path() / "proc/meminfo");
  EXPECT_FALSE(TotalMemory(system_).known());
}

TEST_F(SystemTest, GroupsOfVersion2) {
  Write("proc/self/cgroup", "0::/user.slice/job\n");
  Write("cgroup/user.slice/job/memory.max", "9000000\n");
  Write("cgroup/user.slice/job/memory.stat", "anon 1000000\nfile 5000000\nshmem 500000\n");
  ExpectAvailable(7'500'000, "the control group /user.slice/job");
  Write("cgroup/user.slice/memory.max", "4000000\n");  // of all its jobs
  Write("cgroup/user.slice/memory.stat", "anon 3000000\nfile 0\nshmem 0\n");
  ExpectAvailable(1'000'000, "the control group /user.slice");
  EXPECT_EQ(TotalMemory(system_).bytes, 4'000'000u);
  Write("cgroup/user.slice/memory.stat", "anon 5000000\n");
  ExpectAvailable(0, "the control group /user.slice");
  Write("cgroup/user.slice/memory.max", "max\n");
  ExpectAvailable(7'500'000, "the control group /user.slice/job");
}

// Far above what the process has, so that it lives on; what it has is told by a file of this test.
TEST_F(SystemTest, LimitsOfTheProcess) {
  constexpr uint64_t kLimit = uint64_t{1} << 50;
  Write("proc/self/status", "VmSize: " + std::to_string(kLimit / 1024 - 9000) +
                                " kB\nVmData: " + std::to_string(kLimit / 1024 - 8000) + " kB\n");
  const auto expect_limited = [&](auto resource, uint64_t bytes, const std::string& by) {
    rlimit before = {};
    ASSERT_EQ(getrlimit(resource, &before), 0);
    rlimit limited = before;
    limited.rlim_cur = kLimit;
    ASSERT_EQ(setrlimit(resource, &limited), 0);
    ExpectAvailable(bytes, by);
    setrlimit(resource, &before);
  };
  expect_limited(RLIMIT_AS, 9'000 * 1024, "the limit of address space (ulimit -v)");
  expect_limited(RLIMIT_DATA, 8'000 * 1024, "the limit of data (ulimit -d)");
  ExpectAvailable(20'000 * 1024, "this machine");
}

// A container sees its own group as the root.
TEST_F(SystemTest, TheRootOfAContainer) {
  Write("proc/self/cgroup", "0::/\n");
  Write("cgroup/memory.max", "6000000\n");
  ExpectAvailable(6'000'000, "the control group /");
  Write("proc/self/cgroup", "4:memory:/docker/0123\n0::/docker/0123\n");  // the path outside, which is not here
  std::filesystem::remove(temp_.path() / "cgroup/memory.max");
  Write("cgroup/memory/memory.limit_in_bytes", "5000000\n");
  ExpectAvailable(5'000'000, "the control group /");
}

TEST_F(SystemTest, GroupsOfVersion1) {
  Write("proc/self/cgroup", "9:cpu,cpuacct:/a\n4:memory:/a/b\n1:name=systemd:/x\n");
  Write("cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");  // no limit
  ExpectAvailable(20'000 * 1024, "this machine");
  Write("cgroup/memory/a/memory.limit_in_bytes", "1000000\n");
  Write("cgroup/memory/a/memory.stat", "rss 1\ntotal_rss 300000\ntotal_shmem 100000\ntotal_cache 500000\n");
  ExpectAvailable(600'000, "the control group /a");
}

TEST_F(SystemTest, GroupsWithoutProc) {
  std::filesystem::remove_all(temp_.path() / "proc");
  Write("cgroup/memory/memory.limit_in_bytes", "1000000\n");
  ExpectAvailable(1'000'000, "the control group /");
}

TEST_F(SystemTest, QuotaOfProcessors) {
  const size_t all = PhysicalCores(system_);
  EXPECT_GE(all, 1u);
  Write("proc/self/cgroup", "0::/a/b\n");
  Write("cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(PhysicalCores(system_), all);
  Write("cgroup/a/cpu.max", "150000 100000\n");
  EXPECT_EQ(PhysicalCores(system_), 1u);
  Write("cgroup/a/cpu.max", "50000 100000\n");
  EXPECT_EQ(PhysicalCores(system_), 1u);
  Write("cgroup/a/cpu.max", "max 100000\n");
  Write("proc/self/cgroup", "3:cpu,cpuacct:/a\n");
  Write("cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
  Write("cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(PhysicalCores(system_), all);
  Write("cgroup/cpu/cpu.cfs_quota_us", "100000\n");
  Write("cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(PhysicalCores(system_), 1u);
}

}  // namespace
}  // namespace stablelm
