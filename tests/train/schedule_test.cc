#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "error_info.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

// rate 1, min 0.1, W = 4, N = 12, D = 4, so that u = (n - 4) / 8. Cosine: 0.1 + 0.45 (1 + cos(pi u)), whose cosines are
// those of 22.5, 45 and 67.5 degrees.
TEST(Schedule, TableOfRates) {
  const double c1 = 0.9238795325112867, c2 = 0.7071067811865476, c3 = 0.3826834323650898;
  struct Row {
    int64_t n;
    double constant, linear, cosine, wsd;
  };
  const Row rows[] = {{0, 0.25, 0.25, 0.25, 0.25},
                      {1, 0.25, 0.25, 0.25, 0.25},
                      {2, 0.5, 0.5, 0.5, 0.5},
                      {3, 0.75, 0.75, 0.75, 0.75},
                      {4, 1, 1, 1, 1},
                      {5, 1, 0.875, 0.55 + 0.45 * c1, 1},
                      {6, 1, 0.75, 0.55 + 0.45 * c2, 1},
                      {7, 1, 0.625, 0.55 + 0.45 * c3, 1},
                      {8, 1, 0.5, 0.55, 1},
                      {9, 1, 0.375, 0.55 - 0.45 * c3, 0.775},
                      {10, 1, 0.25, 0.55 - 0.45 * c2, 0.55},
                      {11, 1, 0.125, 0.55 - 0.45 * c1, 0.325},
                      {12, 1, 0.1, 0.1, 0.1},
                      {13, 1, 0.1, 0.1, 0.1},
                      {1000, 1, 0.1, 0.1, 0.1}};
  const auto rate = [](ScheduleShape shape, int64_t n) {
    return Schedule({.shape = shape, .rate = 1, .min_ratio = 0.1, .warmup = 4, .steps = 12, .decay_steps = 4})
        .RateAt(n);
  };
  for (const Row& row : rows) {
    EXPECT_NEAR(rate(ScheduleShape::kConstant, row.n), row.constant, 1e-15) << row.n;
    EXPECT_NEAR(rate(ScheduleShape::kLinear, row.n), row.linear, 1e-15) << row.n;
    EXPECT_NEAR(rate(ScheduleShape::kCosine, row.n), row.cosine, 1e-15) << row.n;
    EXPECT_NEAR(rate(ScheduleShape::kWsd, row.n), row.wsd, 1e-15) << row.n;
  }
}

TEST(Schedule, WithoutWarmUpItBeginsAtTheRate) {
  for (const std::string& name : ScheduleNames()) {
    const Schedule schedule(
        {.shape = ParseScheduleShape(name), .rate = 2e-5, .min_ratio = 0, .steps = 10, .decay_steps = 10});
    EXPECT_DOUBLE_EQ(schedule.RateAt(0), 2e-5) << name;
    EXPECT_NEAR(schedule.RateAt(10), name == "constant" ? 2e-5 : 0, 1e-20) << name;
  }
}

TEST(Schedule, AWarmUpMayTakeAllSteps) {
  for (const ScheduleShape shape : {ScheduleShape::kConstant, ScheduleShape::kLinear, ScheduleShape::kCosine}) {
    const Schedule schedule({.shape = shape, .rate = 1, .warmup = 5, .steps = 5});
    EXPECT_EQ(schedule.RateAt(4), 0.8);
    EXPECT_EQ(schedule.RateAt(5), 1);
    EXPECT_EQ(schedule.RateAt(6), shape == ScheduleShape::kConstant ? 1 : 0.1);
  }
}

TEST(Schedule, RatesOfTheCard) {  // 3B: 2e-5, 50 steps of warm-up
  const Schedule schedule({.rate = 2e-5, .warmup = 50, .steps = 1000});
  EXPECT_DOUBLE_EQ(schedule.RateAt(0), 4e-7);
  EXPECT_DOUBLE_EQ(schedule.RateAt(25), 1e-5);
  EXPECT_DOUBLE_EQ(schedule.RateAt(50), 2e-5);
  EXPECT_NEAR(schedule.RateAt(525), 1.1e-5, 1e-19);
  EXPECT_DOUBLE_EQ(schedule.RateAt(1000), 2e-6);
}

TEST(Schedule, NamesAreRead) {
  for (const std::string& name : ScheduleNames()) EXPECT_EQ(NameOf(ParseScheduleShape(name)), name);
  EXPECT_EQ(ParseScheduleShape("wsd"), ScheduleShape::kWsd);
  const ErrorInfo info = InfoOf([] { ParseScheduleShape("cosin"); });
  EXPECT_THAT(info, Names("`schedule`", "\"cosin\""));
  EXPECT_EQ(info.expected, "constant, linear, cosine, wsd");
  EXPECT_THAT(info.hint, HasSubstr("cosine"));
}

TEST(Schedule, RefusesOptionsWithoutSense) {
  const auto with = [](auto&& change) {
    ScheduleOptions options = {.shape = ScheduleShape::kWsd, .rate = 1, .warmup = 4, .steps = 12, .decay_steps = 4};
    change(options);
    return InfoOf([&] { Schedule{options}; });
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(with([](auto& o) { o.rate = 0; }), Names("`rate`", "0"));
  EXPECT_THAT(with([](auto& o) { o.rate = -1e-5; }), Names("`rate`", "-1e-05"));
  EXPECT_THAT(with([&](auto& o) { o.rate = nan; }), Names("`rate`", "nan"));
  EXPECT_THAT(with([](auto& o) { o.min_ratio = 1.5; }), Names("`min_rate_ratio`", "1.5"));
  EXPECT_THAT(with([](auto& o) { o.min_ratio = -0.1; }), Names("`min_rate_ratio`", "-0.1"));
  EXPECT_THAT(with([&](auto& o) { o.min_ratio = nan; }), Names("`min_rate_ratio`", "nan"));
  EXPECT_THAT(with([](auto& o) { o.steps = 0; }), Names("`steps`", "0"));
  EXPECT_THAT(with([](auto& o) { o.warmup = 13; }), Names("`warmup`", "13"));
  EXPECT_THAT(with([](auto& o) { o.warmup = -1; }), Names("`warmup`", "-1"));
  EXPECT_THAT(with([](auto& o) { o.decay_steps = 9; }), Names("`decay_steps`", "9"));
  EXPECT_THAT(with([](auto& o) { o.decay_steps = 0; }), Names("`decay_steps`", "0"));
  EXPECT_THAT(with([](auto& o) { o.warmup = 12; }), Names("`decay_steps`", "4"));
}

}  // namespace
}  // namespace stablelm
