#include "ops/low_rank.h"

#include <bit>

#include "ops/matmul.h"
#include "ops/op_testing.h"

namespace stablelm {
namespace {

PackedMatrix PackedFloats(std::span<const float> values, int64_t rows, int64_t columns) {
  PackedMatrix packed(DType::kF32, rows, columns, "adapter");
  PackRows(packed, reinterpret_cast<const std::byte*>(values.data()));
  return packed;
}

struct LowRankCase {
  int64_t m, k, r, n;
};
// Few and many rows, partial pieces, panels and vectors, ranks of several panels and pieces.
const LowRankCase kLowRankCases[] = {{1, 256, 16, 64}, {2, 300, 4, 97},   {4, 1000, 1, 33}, {5, 515, 33, 31},
                                     {33, 64, 8, 96},  {37, 600, 40, 65}, {3, 40, 300, 40}, {40, 24, 300, 50}};

TEST(LowRank, MatchesTheReferenceBitForBit) {
  for (const LowRankCase& c : kLowRankCases) {
    const auto a_values = RandomNormals(static_cast<size_t>(c.r * c.k), 1),
               x = RandomNormals(static_cast<size_t>(c.m * c.k), 3);
    const auto b_values = RandomNormals(static_cast<size_t>(c.n * c.r), 2),
               y0 = RandomNormals(static_cast<size_t>(c.m * c.n), 4);
    const PackedMatrix a = PackedFloats(a_values, c.r, c.k), b = PackedFloats(b_values, c.n, c.r);
    LowRankInput in = {.x = x.data(), .m = c.m, .a = &a, .b = &b, .scale = 0.75f};
    std::vector<float> want = y0;
    in.y = want.data();
    AddLowRankRef(in);
    // The definition, in fp64: within the bound of the header.
    for (size_t i = 0; i < want.size(); ++i) {
      const size_t m = i / static_cast<size_t>(c.n), n = i % static_cast<size_t>(c.n);
      double exact = static_cast<double>(y0[i]), size = std::abs(exact);
      for (int64_t j = 0; j < c.r; ++j) {
        const double w = 0.75 * static_cast<double>(b_values[n * static_cast<size_t>(c.r) + static_cast<size_t>(j)]);
        for (int64_t k = 0; k < c.k; ++k) {
          const double term = w * static_cast<double>(a_values[static_cast<size_t>(j * c.k + k)]) *
                              static_cast<double>(x[m * static_cast<size_t>(c.k) + static_cast<size_t>(k)]);
          exact += term, size += std::abs(term);
        }
      }
      const double steps = 2 * static_cast<double>(std::max(c.r, c.k)) + static_cast<double>(c.k) / 256 + 3;
      ASSERT_PRED3(Near, static_cast<double>(want[i]), exact, size * steps * kEps);
    }
    ForEachSimdTarget([&] {
      for (const size_t threads : {size_t{1}, size_t{3}}) {
        SCOPED_TRACE(testing::Message() << c.m << " rows, K " << c.k << ", r " << c.r << ", N " << c.n << ", "
                                        << threads << " threads");
        ThreadPool pool(threads);
        ExecutionContext exec(pool, static_cast<size_t>(c.m), static_cast<size_t>(c.k));
        GuardedFloats y(y0.size());
        std::ranges::copy(y0, y.data());
        in.y = y.data();
        AddLowRank(in, exec);
        y.Check();
        const bool fma = HasFma(SimdTargetInUse());
        for (size_t i = 0; i < want.size(); ++i) {
          if (fma) {
            ASSERT_EQ(std::bit_cast<uint32_t>(y.data()[i]), std::bit_cast<uint32_t>(want[i])) << i;
          } else {
            ASSERT_PRED3(Near, static_cast<double>(y.data()[i]), static_cast<double>(want[i]), 1e-3);
          }
        }
      }
    });
  }
}

TEST(LowRank, ARowDoesNotDependOnTheOthers) {
  constexpr int64_t kK = 777, kR = 18, kN = 70, kM = 50;
  const auto a_values = RandomNormals(kR * kK, 1), b_values = RandomNormals(kN * kR, 2), x = RandomNormals(kM * kK, 3);
  const PackedMatrix a = PackedFloats(a_values, kR, kK), b = PackedFloats(b_values, kN, kR);
  ForEachSimdTarget([&] {
    ThreadPool pool(2);
    ExecutionContext exec(pool, kM, kK);
    std::vector<float> all(kM * kN), one(kN);
    AddLowRank({.x = x.data(), .m = kM, .a = &a, .b = &b, .scale = 2, .y = all.data()}, exec);
    for (const int64_t row : {0, 13, 49}) {
      std::ranges::fill(one, 0.0f);
      AddLowRank({.x = x.data() + row * kK, .m = 1, .a = &a, .b = &b, .scale = 2, .y = one.data()}, exec);
      EXPECT_EQ(std::memcmp(one.data(), all.data() + row * kN, sizeof(float) * kN), 0) << row;
    }
  });
}

}  // namespace
}  // namespace stablelm
