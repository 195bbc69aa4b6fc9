// AMX products with fp32, fp16 and bf16 weights: they give the bits of the reference loops, which are within the bound
// of ops/matmul.h, for any batch. The tests of products with quantized weights include AMX tiles.
#include <bit>
#include <limits>

#include "ops/matmul.h"
#include "ops/op_testing.h"

namespace stablelm {
namespace {

struct TileCase {
  size_t m, n, k;
};

// Sizes around the tile (16 rows, 32 columns), the panel (32), the piece (256), the rows whose sums are kept together
// (512; 160 of three parts), those that are split together (512), the few rows that read two panels at the same time (5
// of three parts) or have two tiles (10), and the streams of vectors (4 panels, 4 rows).
const TileCase kTileCases[] = {{1, 1, 1},      {1, 70, 64},   {1, 300, 95}, {2, 33, 60},   {3, 170, 31},
                               {4, 140, 96},   {5, 24, 150},  {5, 97, 288}, {6, 25, 1025}, {10, 65, 300},
                               {11, 31, 33},   {16, 64, 512}, {17, 300, 7}, {33, 40, 255}, {161, 33, 257},
                               {201, 1100, 5}, {530, 7, 40},  {1030, 3, 20}};

struct TileWeights {
  DType type;
  Compute compute;
};
constexpr TileWeights kTileWeights[] = {{DType::kF32, Compute::kExact},
                                        {DType::kF16, Compute::kExact},
                                        {DType::kBF16, Compute::kExact},
                                        {DType::kBF16, Compute::kFast}};

PackedMatrix PackedTiles(std::span<const float> w, TileWeights weights, size_t n, size_t k) {
  const StoredFloats stored(w, weights.type, Shape{static_cast<int64_t>(n), static_cast<int64_t>(k)}, 1);
  const TensorView view = stored.view();
  PackedMatrix packed(weights.type, view.shape[0], view.shape[1], "weights", weights.compute);
  PackRows(packed, view.data);
  return packed;
}

class AmxMatMul : public testing::TestWithParam<TileWeights> {
 protected:
  void SetUp() override {
    const std::vector<std::string> targets = UsableSimdTargets();
    if (std::find(targets.begin(), targets.end(), "avx3_amx") == targets.end()) {
      GTEST_SKIP() << "this machine has neither AMX nor AVX-512, with which it can be emulated";
    }
    SelectSimdTarget("avx3_amx");
  }
  void TearDown() override { SelectSimdTarget(""); }
};

std::vector<float> Product(const PackedMatrix& w, std::span<const float> x, size_t m, const float* bias,
                           size_t threads) {
  ThreadPool pool(threads);
  ExecutionContext exec(pool, m, w.columns());
  GuardedFloats y(m * w.rows());
  MatMul({.x = x.data(), .m = static_cast<int64_t>(m), .w = &w, .bias = bias, .y = y.data()}, exec);
  y.Check();
  return {y.span().begin(), y.span().end()};
}
std::vector<float> Reference(const PackedMatrix& w, std::span<const float> x, size_t m, const float* bias) {
  std::vector<float> y(m * w.rows());
  MatMulAmxRef({.x = x.data(), .m = static_cast<int64_t>(m), .w = &w, .bias = bias, .y = y.data()});
  return y;
}

// Requires the bits of the reference. The processors that were met follow its rules too, and products of few rows rely
// on it: they use vectors.
void ExpectReference(std::span<const float> got, std::span<const float> want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    const bool same = std::bit_cast<uint32_t>(got[i]) == std::bit_cast<uint32_t>(want[i]);
    ASSERT_TRUE(same || (!std::isfinite(got[i]) && !std::isfinite(want[i])))
        << i << ": " << got[i] << ", expected " << want[i];
  }
}

TEST_P(AmxMatMul, GivesTheBitsOfTheReference) {
  for (const TileCase c : kTileCases) {
    SCOPED_TRACE(testing::Message() << "m " << c.m << " n " << c.n << " k " << c.k);
    const auto x = RandomNormals(c.m * c.k, 1), w = RandomNormals(c.n * c.k, 2), bias = RandomNormals(c.n, 3);
    const PackedMatrix packed = PackedTiles(w, GetParam(), c.n, c.k);
    const float* const added = c.m % 2 == 0 ? nullptr : bias.data();
    ExpectReference(Product(packed, x, c.m, added, 1 + c.m % 3), Reference(packed, x, c.m, added));
  }
}

TEST_P(AmxMatMul, ReferenceStaysWithinTheBound) {
  const size_t parts = GetParam().type == DType::kF32 ? 3 : GetParam().type == DType::kF16 ? 2 : 1;
  double worst = 0;
  for (const TileCase c : kTileCases) {
    auto x = RandomNormals(c.m * c.k, 1);
    if (GetParam().compute == Compute::kFast) {
      for (float& value : x) value = ToFloat(ToBF16(value));  // the rounding of x is tested in ops.matmul_fast_test
    }
    const auto w = RandomNormals(c.n * c.k, 2), bias = RandomNormals(c.n, 3);
    const PackedMatrix packed = PackedTiles(w, GetParam(), c.n, c.k);
    const std::vector<float> got = Reference(packed, x, c.m, bias.data());
    const double e = (static_cast<double>(parts * c.k) / 32 + static_cast<double>(parts) + 22) * kEps;
    std::vector<float> row(c.k);
    for (size_t n = 0; n < c.n; ++n) {
      packed.UnpackRow(n, row.data());
      for (size_t m = 0; m < c.m; ++m) {
        double sum = static_cast<double>(bias[n]), magnitude = std::abs(sum);
        for (size_t k = 0; k < c.k; ++k) {
          const double term = static_cast<double>(x[m * c.k + k]) * static_cast<double>(row[k]);
          sum += term, magnitude += std::abs(term);
        }
        const double error = std::abs(static_cast<double>(got[m * c.n + n]) - sum);
        ASSERT_TRUE(error <= magnitude * e) << error << " m " << m << " n " << n << " k " << c.k;
        worst = std::max(worst, error / (magnitude * e));
      }
    }
  }
  EXPECT_GT(worst, 0.02);  // not vacuous
}

TEST_P(AmxMatMul, RowsHaveTheSameBitsAloneInBatchesAndWithAnyThreads) {
  const size_t m = 530, n = 37, k = 300;
  const auto x = RandomNormals(m * k, 4), bias = RandomNormals(n, 6);
  const PackedMatrix packed = PackedTiles(RandomNormals(n * k, 5), GetParam(), n, k);
  const auto all = Product(packed, x, m, bias.data(), 1);
  for (const size_t rows : std::initializer_list<size_t>{1, 2, 5, 6, 16, 17, 40, 170, 513}) {
    for (const size_t first : {size_t{0}, (m - rows) / 2, m - rows}) {
      const auto part = Product(packed, std::span(x).subspan(first * k), rows, bias.data(), 1 + rows % 3);
      ASSERT_EQ(std::memcmp(part.data(), all.data() + first * n, part.size() * sizeof(float)), 0)
          << "rows " << rows << " from " << first;
    }
  }
}

TEST_P(AmxMatMul, ShowsWhatIsNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const size_t m = 20, n = 35, k = 300;
  auto x = RandomNormals(m * k, 4), w = RandomNormals(n * k, 5);
  x[7] = std::numeric_limits<float>::quiet_NaN();
  x[k + 299] = -kInfinity;
  x[2 * k] = std::bit_cast<float>(0x7F800001u);  // NaN in the lowest bits alone
  w[4 * k] = std::numeric_limits<float>::quiet_NaN();
  w[5 * k + 299] = kInfinity;
  const std::vector<float> y = Product(PackedTiles(w, GetParam(), n, k), x, m, nullptr, 2);
  for (size_t i = 0; i < y.size(); ++i) {
    EXPECT_EQ(std::isfinite(y[i]), i / n > 2 && i % n != 4 && i % n != 5) << i;
  }
}

// Products around 2^-126, the smallest number that is not flushed.
TEST_P(AmxMatMul, FlushesDenormals) {
  const size_t m = 5, n = 40, k = 70;
  const auto x = RandomNormals(m * k, 7, 0x1p-110), w = RandomNormals(n * k, 8, 0x1p-15);
  const PackedMatrix packed = PackedTiles(w, GetParam(), n, k);
  const std::vector<float> want = Reference(packed, x, m, nullptr);
  ExpectReference(Product(packed, x, m, nullptr, 1), want);
  for (size_t row = 0; row < m; ++row) {
    const auto alone = std::span(x).subspan(row * k, k);
    ExpectReference(Product(packed, alone, 1, nullptr, 1), std::span(want).subspan(row * n, n));
  }
  size_t zeros = 0;
  for (const float y : want) zeros += y == 0;
  EXPECT_GT(zeros, 0u);
  EXPECT_LT(zeros, want.size());
}

INSTANTIATE_TEST_SUITE_P(EveryType, AmxMatMul, testing::ValuesIn(kTileWeights), [](const auto& test) {
  return std::string(NameOf(test.param.type)) + "_" + std::string(NameOf(test.param.compute));
});

}  // namespace
}  // namespace stablelm
