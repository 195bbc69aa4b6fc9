#include "ops/convert.h"
#include "ops/finite.h"

#include <initializer_list>
#include <limits>

#include "ops/op_testing.h"

namespace stablelm {
namespace {

// All 65,536 codes, widened by every target, equal the scalar conversion bit for bit.
TEST(Convert, EveryCodeWidensExactly) {
  std::vector<uint16_t> codes(65536 + 3);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint16_t>(i);
  ForEachSimdTarget([&] {
    for (const DType type : {DType::kF16, DType::kBF16}) {
      for (const size_t offset : std::initializer_list<size_t>{0, 1}) {
        std::vector<std::byte> bytes(2 * codes.size() + offset);
        std::memcpy(bytes.data() + offset, codes.data(), 2 * codes.size());
        std::vector<float> out(codes.size());
        ConvertToFloat(type, bytes.data() + offset, codes.size(), out.data());
        for (size_t i = 0; i < codes.size(); ++i) {
          const float want = type == DType::kF16 ? ToFloat(F16{codes[i]}) : ToFloat(BF16{codes[i]});
          if (std::isnan(want)) {
            ASSERT_TRUE(std::isnan(out[i]));
          } else {
            ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(want)) << i;
          }
        }
      }
    }
  });
}

// Floats of every exponent, with mantissas around the rounding points, narrow as the scalar conversion does.
TEST(Convert, NarrowingRoundsLikeTheScalar) {
  std::vector<float> values;
  for (uint32_t high = 0; high < 0x10000; high += 7) {
    for (const uint32_t low : {0x0000u, 0x0001u, 0x0FFFu, 0x1000u, 0x1001u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu}) {
      values.push_back(std::bit_cast<float>((high << 16) | low));
    }
  }
  for (const float v : {65504.f, 65519.996f, 65520.f, 0x1p-24f, 0x1p-25f, 0x1.8p-25f}) values.push_back(v);
  ForEachSimdTarget([&] {
    for (const DType type : {DType::kF16, DType::kBF16}) {
      std::vector<std::byte> out(2 * values.size() + 1);
      ConvertFromFloat(values.data(), values.size(), type, out.data() + 1);
      for (size_t i = 0; i < values.size(); ++i) {
        uint16_t code;
        std::memcpy(&code, out.data() + 1 + 2 * i, 2);
        const uint16_t want = type == DType::kF16 ? ToF16(values[i]).bits : ToBF16(values[i]).bits;
        ASSERT_EQ(code, want) << values[i];
      }
    }
  });
}

TEST(Convert, FindsTheFirstNonFinite) {
  ForEachSimdTarget([] {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      for (size_t at = 0; at < 70; ++at) {
        std::vector<float> values(70, std::numeric_limits<float>::max());
        EXPECT_EQ(FirstNonFinite(values.data(), values.size()), 70u);
        values[at] = bad;
        EXPECT_EQ(FirstNonFinite(values.data(), values.size()), at);
      }
    }
  });
}

}  // namespace
}  // namespace stablelm
