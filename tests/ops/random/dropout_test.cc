#include "ops/random/dropout.h"

#include <bit>

#include "ops/op_testing.h"

namespace stablelm {
namespace {

// Every target and number of threads gives the bits of the plain loop: widths around the block, any address, row
// numbers and streams beyond 2^32, nothing written outside.
TEST(Dropout, SameBitsAsTheReferenceOnEveryTarget) {
  ForEachSimdTarget([] {
    for (const size_t width : {size_t{1}, size_t{15}, size_t{63}, size_t{64}, size_t{65}, size_t{200}}) {
      for (const auto& [threads, add] : {std::pair{size_t{1}, false}, {size_t{3}, true}}) {
        for (const uint64_t first_row : {uint64_t{0}, (uint64_t{1} << 32) - 2}) {
          const size_t rows = 7;
          const auto x = RandomNormals(rows * width + 1, 1), before = RandomNormals(rows * width, 2);
          std::vector<float> want = before;
          GuardedFloats got(rows * width);
          std::copy(before.begin(), before.end(), got.data());
          DropoutInput in = {.x = x.data() + 1,
                             .rows = rows,
                             .width = width,
                             .rate = 0.3,
                             .seed = 0x123456789ABCDEF0,
                             .stream = 0xFEDC00000007,
                             .first_row = first_row,
                             .y = want.data(),
                             .add = add};
          DropoutRef(in);
          in.y = got.data();
          ThreadPool pool(threads);
          ExecutionContext exec(pool, size_t{1});
          Dropout(in, exec);
          got.Check();
          for (size_t i = 0; i < want.size(); ++i) {
            ASSERT_EQ(std::bit_cast<uint32_t>(got.data()[i]), std::bit_cast<uint32_t>(want[i]))
                << "width " << width << ", threads " << threads << ", element " << i;
          }
        }
      }
    }
  });
}

std::vector<float> Dropped(size_t rows, size_t width, double rate, uint64_t seed, uint64_t stream, uint64_t first_row) {
  ThreadPool pool(2);
  ExecutionContext exec(pool, size_t{1});
  std::vector<float> y(rows * width, 1.0f);
  Dropout({.x = y.data(),
           .rows = rows,
           .width = width,
           .rate = rate,
           .seed = seed,
           .stream = stream,
           .first_row = first_row,
           .y = y.data()},
          exec);
  return y;
}

// In place, ones become 1 / (1 - rate) or 0. Of n elements n (1 - rate) are kept, within five standard deviations.
TEST(Dropout, KeepsTheShareThatTheRateLeaves) {
  for (const double rate : {0.0, 0.05, 0.5, 0.9}) {
    const auto y = Dropped(300, 1000, rate, 1, 2, 0);
    double kept = 0;
    for (const float v : y) {
      ASSERT_TRUE(v == 0 || v == static_cast<float>(1 / (1 - rate)));
      kept += v != 0;
    }
    const double n = static_cast<double>(y.size());
    EXPECT_LE(std::abs(kept - n * (1 - rate)), 5 * std::sqrt(n * rate * (1 - rate))) << rate;
  }
}

// A row's elements depend on its number, not on the rows beside it; seed, stream and row number all matter.
TEST(Dropout, IsKeyedBySeedStreamRowAndColumn) {
  const size_t width = 130;
  const auto all = Dropped(10, width, 0.5, 1, 2, 5);
  const auto last = Dropped(3, width, 0.5, 1, 2, 12);
  EXPECT_TRUE(std::equal(last.begin(), last.end(), all.begin() + 7 * width));
  EXPECT_NE(all, Dropped(10, width, 0.5, 2, 2, 5));
  EXPECT_NE(all, Dropped(10, width, 0.5, 1, 3, 5));
  EXPECT_NE(all, Dropped(10, width, 0.5, 1, 2, 6));
}

// Recorded once: a run that was begun on another machine goes on with the same elements.
TEST(Dropout, RecordedBits) { EXPECT_EQ(DigestOf(Dropped(9, 100, 0.25, 42, 7, 3)), "3ca24f85857e2789"); }

}  // namespace
}  // namespace stablelm
