#include "base/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace stablelm {
namespace {

TEST(DType, F16RoundTripOfEveryCode) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const F16 code{static_cast<uint16_t>(bits)};
    const float value = ToFloat(code);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(ToFloat(ToF16(value))));
    } else {
      EXPECT_EQ(ToF16(value).bits, bits);
    }
  }
}

TEST(DType, BF16RoundTripOfEveryCode) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = ToFloat(BF16{static_cast<uint16_t>(bits)});
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(ToFloat(ToBF16(value))));
    } else {
      EXPECT_EQ(ToBF16(value).bits, bits);
    }
  }
}

// Halfway between two neighbouring positive values rounds to even; one step beyond, to the nearer one.
TEST(DType, F16RoundsToNearestEven) {
  for (uint16_t bits = 0; bits < 0x7BFF; ++bits) {
    const float low = ToFloat(F16{bits}), high = ToFloat(F16{static_cast<uint16_t>(bits + 1)});
    const float middle = (low + high) / 2;
    EXPECT_EQ(ToF16(middle).bits, bits % 2 == 0 ? bits : bits + 1);
    EXPECT_EQ(ToF16(std::nextafter(middle, high)).bits, bits + 1);
    EXPECT_EQ(ToF16(std::nextafter(middle, low)).bits, bits);
    EXPECT_EQ(ToF16(-middle).bits, ToF16(middle).bits | 0x8000);
  }
}

TEST(DType, F16Overflow) {
  EXPECT_EQ(ToF16(65504.f).bits, 0x7BFF);
  EXPECT_EQ(ToF16(65519.996f).bits, 0x7BFF);
  EXPECT_EQ(ToF16(65520.f).bits, 0x7C00);
  EXPECT_EQ(ToF16(-std::numeric_limits<float>::infinity()).bits, 0xFC00);
}

TEST(DType, BytesOfBlocks) {
  EXPECT_EQ(BytesOf(DType::kF16, 3), 6u);
  EXPECT_EQ(BytesOf(DType::kQ8_0, 64), 68u);
  EXPECT_EQ(BytesOf(DType::kQ4_0, 64), 36u);
  EXPECT_EQ(BytesOf(DType::kQ4_K, 4096), 2304u);
  EXPECT_EQ(BytesOf(DType::kQ5_K, 512), 352u);
  EXPECT_EQ(BytesOf(DType::kQ6_K, 256), 210u);
  EXPECT_TRUE(IsQuantized(DType::kQ4_0));
  EXPECT_FALSE(IsQuantized(DType::kI8));
}

}  // namespace
}  // namespace stablelm
