// Tests that everything is measured, and that a measurement can be interrupted; not how fast the machine is.
#include "ops/probe/machine_speed.h"

#include <gmock/gmock.h>

#include "base/system.h"
#include "error_info.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

TEST(MachineSpeed, MeasuresEveryWayToRead) {
  ThreadPool pool(2);
  int calls = 0;
  const MemorySpeed speed = MeasureMemory(pool, 1 << 16, {.samples = 2, .before_sample = [&] { ++calls; }});
  EXPECT_EQ(speed.bytes, uint64_t{1} << 16);
  ASSERT_EQ(speed.ways.size(), 24u);  // 2 page sizes, 4 stream counts, 3 prefetch distances
  EXPECT_EQ(calls, 24 * 3);
  for (const ReadSpeed& way : speed.ways) {
    EXPECT_GT(way.gb_per_s.min, 0);
    EXPECT_LE(way.gb_per_s.median, speed.ways[speed.best].gb_per_s.median);
  }
}

TEST(MachineSpeed, MeasuresTheTargetInUse) {
  ThreadPool pool(1);
  const ComputeSpeed speed = MeasureComputeInUse(pool, {.samples = 1});
  EXPECT_EQ(speed.target, SimdTargetInUse());
  EXPECT_TRUE(speed.in_use);
  EXPECT_GT(speed.fp32_gflops.median, 0);
}

TEST(MachineSpeed, ASampleThatThrowsEndsTheMeasurement) {
  ThreadPool pool(1);
  const std::string target = SimdTargetInUse();
  const ProbeOptions options = {.samples = 1, .before_sample = [] { throw 7; }};
  EXPECT_THAT([&] { MeasureMemory(pool, 1 << 16, options); }, testing::Throws<int>(7));
  EXPECT_THAT([&] { MeasureCompute(pool, options); }, testing::Throws<int>(7));
  EXPECT_EQ(SimdTargetInUse(), target);
}

TEST(MachineSpeed, RefusesMoreThanThereIs) {
  ThreadPool pool(1);
  EXPECT_THAT(InfoOf([&] { MeasureMemory(pool, uint64_t{1} << 60, {.samples = 1}); }),
              Names("`probe_size`", HumanBytes(uint64_t{1} << 60)));
}

}  // namespace
}  // namespace stablelm
