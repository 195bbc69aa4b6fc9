#include "base/repeated_timing.h"

#include <gtest/gtest.h>

namespace stablelm {
namespace {

TEST(RepeatedTiming, TheMedianIsTheMiddleOrTheMeanOfTheTwoMiddles) {
  const Samples odd = Summarize({5, 1, 3}), even = Summarize({4, 1, 2, 10}), one = Summarize({7});
  EXPECT_EQ(odd.median, 3);
  EXPECT_EQ(odd.min, 1);
  EXPECT_EQ(odd.max, 5);
  EXPECT_EQ(even.median, 3);
  EXPECT_EQ(one.median, 7);
}

}  // namespace
}  // namespace stablelm
