#include "base/random.h"

#include <gtest/gtest.h>

namespace stablelm {
namespace {

// Known-answer tests of Random123 (kat_vectors, philox4x32 10).
TEST(Philox, KnownAnswers) {
  const auto zero = Philox(0).Block(0, 0);
  EXPECT_EQ(zero, (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const auto ones = Philox(~0ull).Block(~0ull, ~0ull);
  EXPECT_EQ(ones, (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  const auto pi = Philox(0x299f31d0a4093822ull).Block(0x0370734413198a2eull, 0x85a308d3243f6a88ull);
  EXPECT_EQ(pi, (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformIsInRange) {
  double sum = 0;
  for (uint64_t i = 0; i < 10000; ++i) {
    const double u = Philox(7).Uniform(1, i);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
  }
  EXPECT_NEAR(sum / 10000, 0.5, 0.015);  // five standard errors of 1/sqrt(12 n)
}

}  // namespace
}  // namespace stablelm
