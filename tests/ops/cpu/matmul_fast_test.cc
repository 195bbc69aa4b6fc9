// Products for Compute::kFast: every kernel on every target gives the bits of the reference loops, which are within the
// bound of ops/matmul.h. AMX tiles give other bits: ops.matmul_amx_test.
#include <bit>
#include <limits>

#include "ops/matmul.h"
#include "ops/op_testing.h"

namespace stablelm {
namespace {

struct FastCase {
  size_t m, n, k;
};

// Sizes around the tile heights (6, 14), the panel (32), the piece (256), the block of rows (256), the vector lengths,
// and odd numbers of columns.
const FastCase kFastCases[] = {{1, 1, 1},     {1, 5, 7},     {1, 70, 64},    {2, 33, 60},    {3, 24, 150},
                               {4, 25, 1025}, {5, 7, 1023},  {7, 150, 16},   {13, 24, 17},   {16, 64, 512},
                               {31, 3, 701},  {60, 40, 255}, {130, 33, 257}, {257, 130, 33}, {1, 290, 9}};

PackedMatrix PackedPairs(const TensorView& stored) {
  PackedMatrix packed(DType::kBF16, stored.shape[0], stored.shape[1], "weights", Compute::kFast);
  PackRows(packed, stored.data);
  return packed;
}

// A product and its operands.
struct FastProduct {
  FastProduct(FastCase c, std::vector<float> x_, std::span<const float> w, std::vector<float> bias_, size_t offset = 0)
      : of(c),
        x(std::move(x_)),
        bias(std::move(bias_)),
        packed(PackedPairs(
            StoredFloats(w, DType::kBF16, Shape{static_cast<int64_t>(c.n), static_cast<int64_t>(c.k)}, offset)
                .view())) {}
  MatMulInput Input(float* y) const {
    return {.x = x.data(),
            .m = static_cast<int64_t>(of.m),
            .w = &packed,
            .bias = bias.empty() ? nullptr : bias.data(),
            .y = y};
  }
  std::vector<float> Reference() const {
    std::vector<float> y(of.m * of.n);
    MatMulFastRef(Input(y.data()));
    return y;
  }
  void ExpectReference(const std::vector<float>& want, size_t threads) const {
    if (TilesInUse()) return;
    ThreadPool pool(threads);
    ExecutionContext exec(pool, of.m, of.k);
    GuardedFloats y(of.m * of.n);
    MatMul(Input(y.data()), exec);
    y.Check();
    for (size_t i = 0; i < want.size(); ++i) {
      const float got = y.span()[i];
      const bool same = std::bit_cast<uint32_t>(got) == std::bit_cast<uint32_t>(want[i]);
      ASSERT_TRUE(same || (std::isnan(got) && std::isnan(want[i])))
          << "m " << of.m << " n " << of.n << " k " << of.k << " at " << i << ": " << got << ", expected " << want[i];
    }
  }

  FastCase of;
  std::vector<float> x, bias;
  PackedMatrix packed;
};

TEST(FastMatMul, GivesTheBitsOfTheReferenceOnEveryTarget) {
  for (const FastCase c : kFastCases) {
    for (const size_t offset : std::initializer_list<size_t>{0, 1, 3}) {
      const auto w = RandomNormals(c.n * c.k, 2);
      const FastProduct product(c, RandomNormals(c.m * c.k, 1), w,
                                offset == 1 ? std::vector<float>() : RandomNormals(c.n, 3), offset);
      const std::vector<float> want = product.Reference();
      ForEachSimdTarget([&] { product.ExpectReference(want, 1 + offset); });
    }
  }
}

// Operands, products, sums, pieces and biases below and just above 2^-126.
TEST(FastMatMul, FlushesDenormalsAlikeOnTargetsWithFma) {
  size_t flushed = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const FastCase c = {seed % 2 == 0 ? size_t{3} : size_t{20}, 40, 2 + seed * 13};
    const Philox random(seed);
    // Few distinct values of either sign whose products are around 2^-126, some of them denormal themselves.
    const auto draw = [&](size_t n, uint32_t stream, int low, int high) {
      std::vector<float> out(n);
      for (size_t i = 0; i < n; ++i) {
        const double u = random.Uniform(stream, i);
        const int exponent = low + static_cast<int>(u * (high - low));
        const double fraction = 1 + std::floor(random.Uniform(stream + 1, i) * 4) / (seed % 3 == 0 ? 4.0 : 3.0);
        out[i] = static_cast<float>(std::ldexp(random.Uniform(stream + 2, i) < 0.5 ? fraction : -fraction, exponent));
      }
      return out;
    };
    const bool small_operands = seed % 4 == 3;
    const auto w = small_operands ? draw(c.n * c.k, 10, -130, -122) : draw(c.n * c.k, 10, -68, -58);
    const auto x = small_operands ? draw(c.m * c.k, 20, -4, 3) : draw(c.m * c.k, 20, -72, -60);
    const FastProduct product(c, x, w, draw(c.n, 30, -130, -124));
    const std::vector<float> want = product.Reference();
    for (const float y : want) flushed += y == 0;
    for (const std::string& target : UsableSimdTargets()) {
      if (!HasFma(target)) continue;
      SCOPED_TRACE(target + " seed " + std::to_string(seed));
      SelectSimdTarget(target);
      product.ExpectReference(want, 2);
    }
    SelectSimdTarget("");
  }
  EXPECT_GT(flushed, 100u);
}

// A result that rounds up to 2^-126 only because denormals are coarse is flushed.
TEST(FastMatMul, DecidesAfterRoundingWhatIsDenormal) {
#if !defined(__SSE2__)
  GTEST_SKIP() << "other processors decide before they round";
#else
  const FastCase c = {1, 1, 2};
  // The chain computes 2^-126 minus up to 2^-150, one unit in the last place of the numbers below 2^-126. Subtracting
  // more than half of it leaves a smaller number. Rounded to multiples of 2^-149, as denormals are, all would be
  // 2^-126.
  const struct {
    float less, want;
  } kEdges[] = {{0x1p-110f, 0}, {0x1.8p-111f, 0}, {0x1p-111f, 0x1p-126f}, {0x1p-112f, 0x1p-126f}};
  for (const auto& edge : kEdges) {
    const FastProduct product(c, {0x1p-40f, 1.0f}, std::vector<float>{-edge.less, 0x1p-126f}, {});
    const std::vector<float> want = product.Reference();
    EXPECT_EQ(want[0], edge.want) << edge.less;
    for (const std::string& target : UsableSimdTargets()) {
      if (!HasFma(target)) continue;
      SCOPED_TRACE(target);
      SelectSimdTarget(target);
      product.ExpectReference(want, 1);
    }
  }
  SelectSimdTarget("");
#endif
}

TEST(FastMatMul, LeavesTheModeOfTheProcessorAsItWas) {
  ForEachSimdTarget([] {
    for (const size_t m : {size_t{1}, size_t{9}}) {
      const FastCase c = {m, 3, 5};
      const FastProduct product(c, RandomNormals(m * 5, 1), RandomNormals(15, 2), {});
      product.ExpectReference(product.Reference(), 1);
      volatile float denormal = 0x1p-130f;
      denormal = denormal * 0.5f;
      const float halved = denormal;  // when flushed, all denormals are equal
      EXPECT_EQ(std::bit_cast<uint32_t>(halved), std::bit_cast<uint32_t>(0x1p-131f));
    }
  });
}

TEST(FastMatMul, ShowsWhatIsNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const size_t m : {size_t{2}, size_t{40}}) {
    const FastCase c = {m, 35, 300};
    auto x = RandomNormals(m * c.k, 4), w = RandomNormals(c.n * c.k, 5);
    x[7] = std::numeric_limits<float>::quiet_NaN();
    x[c.k + 299] = -kInfinity;
    w[3 * c.k + 11] = std::numeric_limits<float>::max();  // rounds to infinity
    w[4 * c.k] = std::numeric_limits<float>::quiet_NaN();
    w[5 * c.k + 299] = kInfinity;
    const FastProduct product(c, x, w, {});
    const std::vector<float> want = product.Reference();
    EXPECT_TRUE(std::isnan(want[0]));
    EXPECT_TRUE(std::isinf(want[c.n]));
    EXPECT_TRUE(std::isinf(want[c.n + 3]) || std::isnan(want[c.n + 3]));
    ForEachSimdTarget([&] { product.ExpectReference(want, 2); });
  }
}

TEST(FastMatMul, RowsHaveTheSameBitsAloneInBatchesAndWithAnyThreads) {
  const size_t m = 512, n = 77, k = 601;
  const auto x = RandomNormals(m * k, 4), bias = RandomNormals(n, 6);
  const StoredFloats stored(RandomNormals(n * k, 5), DType::kBF16, Shape{77, 601}, 1);
  const PackedMatrix packed = PackedPairs(stored.view());
  ForEachSimdTarget([&] {
    const auto run = [&](size_t first, size_t rows, size_t threads) {
      ThreadPool pool(threads);
      ExecutionContext exec(pool, rows, k);
      std::vector<float> y(rows * n);
      MatMul({.x = x.data() + first * k,
              .m = static_cast<int64_t>(rows),
              .w = &packed,
              .bias = bias.data(),
              .y = y.data()},
             exec);
      return y;
    };
    const auto all = run(0, m, 1);
    for (const size_t rows : std::initializer_list<size_t>{1, 2, 3, 4, 5, 8, 17, 128, 300, 512}) {
      for (const size_t first : {size_t{0}, (m - rows) / 2, m - rows}) {
        const auto part = run(first, rows, 1 + rows % 3);
        ASSERT_EQ(std::memcmp(part.data(), all.data() + first * n, part.size() * sizeof(float)), 0)
            << "rows " << rows << " from " << first;
      }
    }
  });
}

// The bound of ops/matmul.h, against sums in fp64 of the weights before they were rounded.
TEST(FastMatMul, StaysWithinItsBound) {
  constexpr double kU = 0x1p-8;
  for (const bool bf16 : {false, true}) {
    double worst = 0;
    for (const FastCase c : kFastCases) {
      auto w = RandomNormals(c.n * c.k, 2);
      if (bf16) {
        for (float& value : w) value = ToFloat(ToBF16(value));
      }
      const FastProduct product(c, RandomNormals(c.m * c.k, 1), w, RandomNormals(c.n, 3));
      const std::vector<float> got = product.Reference();
      const double e = static_cast<double>(c.k + (c.k + kMatMulPiece - 1) / kMatMulPiece + 1) * kEps;
      const double of_rounding = bf16 ? kU : 2 * kU + kU * kU;
      for (size_t m = 0; m < c.m; ++m) {
        for (size_t n = 0; n < c.n; ++n) {
          double sum = static_cast<double>(product.bias[n]), magnitude = 0;
          for (size_t k = 0; k < c.k; ++k) {
            const double term = static_cast<double>(product.x[m * c.k + k]) * static_cast<double>(w[n * c.k + k]);
            sum += term;
            magnitude += std::abs(term);
          }
          const double bound =
              magnitude * of_rounding * (1 + e) + (std::abs(static_cast<double>(product.bias[n])) + magnitude) * e;
          const double error = std::abs(static_cast<double>(got[m * c.n + n]) - sum);
          ASSERT_TRUE(error <= bound) << error << " " << bound << " m " << m << " n " << n << " k " << c.k;
          worst = std::max(worst, error / bound);
        }
      }
    }
    // Not vacuous: a single product comes near the bound.
    EXPECT_GT(worst, 0.1);
  }
}

TEST(FastMatMul, PackedPairsKeepEveryElementOnEveryTarget) {
  ForEachSimdTarget([] {
    for (const size_t k : std::initializer_list<size_t>{1, 2, 7, 8, 9, 21, 32, 515}) {
      const size_t n = 67;
      const StoredFloats stored(RandomNormals(n * k, 9), DType::kBF16, Shape{67, static_cast<int64_t>(k)}, 1);
      const PackedMatrix packed = PackedPairs(stored.view());
      EXPECT_EQ(packed.panels() * packed.panel_bytes(),
                PackedMatrix::Bytes(DType::kBF16, 67, static_cast<int64_t>(k), Compute::kFast));
      std::vector<std::byte> row(k * sizeof(BF16));
      std::vector<float> floats(k), want(k);
      for (size_t r = 0; r < n; ++r) {
        const std::byte* const from = stored.view().data + r * row.size();
        packed.StoredRow(r, row.data());
        ASSERT_EQ(std::memcmp(row.data(), from, row.size()), 0) << "row " << r << " of " << k;
        packed.UnpackRow(r, floats.data());
        ConvertToFloat(DType::kBF16, from, k, want.data());
        ASSERT_EQ(std::memcmp(floats.data(), want.data(), k * sizeof(float)), 0);
      }
    }
  });
}

}  // namespace
}  // namespace stablelm
