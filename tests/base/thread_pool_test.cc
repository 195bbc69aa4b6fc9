#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <initializer_list>
#include <stdexcept>
#include <thread>
#include <vector>

namespace stablelm {
namespace {

TEST(ThreadPool, EveryIndexOnceInEveryForm) {
  for (const size_t threads : std::initializer_list<size_t>{1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (const size_t n : std::initializer_list<size_t>{0, 1, 7, 64, 1000}) {
      std::vector<std::atomic<int>> hits(n);
      pool.ForRanges(n, 4, [&](size_t b, size_t e) {
        for (size_t i = b; i < e; ++i) ++hits[i];
      });
      pool.ForEach(n, [&](size_t i, size_t worker) {
        ASSERT_LT(worker, threads);
        ++hits[i];
      });
      pool.ForSteps(n, 3, [&](size_t b, size_t e, size_t worker) {
        ASSERT_LT(worker, threads);
        ASSERT_EQ(b % 3, 0u);
        ASSERT_LE(e, b + 3);
        for (size_t i = b; i < e; ++i) ++hits[i];
      });
      for (const auto& h : hits) ASSERT_EQ(h, 3);
    }
    std::vector<std::atomic<int>> workers(threads);
    for (int round = 0; round < 200; ++round) pool.RunOnAll([&](size_t w) { ++workers[w]; });
    for (const auto& w : workers) ASSERT_EQ(w, 200);
  }
}

// Threads sleep after some microseconds without work; so does the caller while it waits for others.
TEST(ThreadPool, SleepersWake) {
  ThreadPool pool(3);
  std::atomic<int> n{0};
  for (int round = 0; round < 300; ++round) {
    // Delays around the time after which a waiting thread sleeps.
    std::this_thread::sleep_for(std::chrono::microseconds(round % 3 * 60));
    pool.RunOnAll([&](size_t worker) {
      if (worker == 1 + static_cast<size_t>(round) % 2) std::this_thread::sleep_for(std::chrono::microseconds(round));
      ++n;
    });
    ASSERT_EQ(n, 3 * (round + 1));
  }
}

TEST(ThreadPool, ExceptionReachesTheCallerAndThePoolLivesOn) {
  ThreadPool pool(3);
  EXPECT_THROW(pool.RunOnAll([](size_t w) {
    if (w == 2) throw std::runtime_error("x");
  }),
               std::runtime_error);
  std::atomic<int> n{0};
  pool.RunOnAll([&](size_t) { ++n; });
  EXPECT_EQ(n, 3);
}

}  // namespace
}  // namespace stablelm
