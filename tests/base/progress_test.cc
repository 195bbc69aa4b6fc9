// Tests what a listener of progress gets. (The bar itself needs a terminal and seconds.)
#include "base/progress.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <vector>

#include "base/thread_pool.h"

namespace stablelm {
namespace {

TEST(ProgressListener, HearsTheFirstAndTheLast) {
  std::vector<uint64_t> heard;
  Progress progress("working", 100, Progress::Unit::kItems, false, {.listener = [&](uint64_t done, uint64_t total) {
                      EXPECT_EQ(total, 100u);
                      heard.push_back(done);
                    }});
  for (int i = 0; i < 100; ++i) progress.Add(1);
  ASSERT_GE(heard.size(), 2u);
  EXPECT_LT(heard.size(), 100u);  // unless each takes a tenth of a second
  EXPECT_EQ(heard.front(), 1u);
  EXPECT_EQ(heard.back(), 100u);
}

TEST(ProgressListener, HearsAscendingNumbersFromManyThreads) {
  for (int round = 0; round < 50; ++round) {
    std::vector<uint64_t> heard;
    Progress progress("working", 64, Progress::Unit::kItems, false,
                      {.listener = [&](uint64_t done, uint64_t) { heard.push_back(done); }});
    ThreadPool pool(4);
    pool.ForEach(64, [&](size_t, size_t) { progress.Add(1); });
    EXPECT_EQ(std::ranges::adjacent_find(heard, std::greater_equal<>()), heard.end());  // and none twice
    EXPECT_EQ(heard.back(), 64u);
  }
}

TEST(ProgressListener, MayThrow) {
  Progress progress("working", 2, Progress::Unit::kItems, false,
                    {.listener = [](uint64_t, uint64_t) { throw std::runtime_error("enough"); }});
  EXPECT_THROW(progress.Add(1), std::runtime_error);
}

}  // namespace
}  // namespace stablelm
