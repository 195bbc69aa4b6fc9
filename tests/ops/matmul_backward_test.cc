#include "ops/matmul_backward.h"

#include "ops/op_testing.h"
#include "ops/ref/matmul_backward.h"

namespace stablelm {
namespace {

struct BackwardCase {
  size_t m, n, k;
};
// Around the tile heights (6, 14), the panel (32), the piece (256), the block of rows (256) and the vector lengths; odd
// numbers of rows, outputs and columns.
const BackwardCase kBackwardCases[] = {{1, 1, 1},    {2, 5, 7},     {5, 33, 60},   {14, 64, 31},  {3, 257, 33},
                                       {31, 40, 65}, {257, 70, 35}, {130, 513, 9}, {513, 33, 97}, {256, 32, 288}};

enum class Kind { kF32, kF16, kBF16, kFast };
constexpr Kind kKinds[] = {Kind::kF32, Kind::kF16, Kind::kBF16, Kind::kFast};
DType TypeOf(Kind kind) { return kind == Kind::kF32 ? DType::kF32 : kind == Kind::kF16 ? DType::kF16 : DType::kBF16; }
Compute ComputeOf(Kind kind) { return kind == Kind::kFast ? Compute::kFast : Compute::kExact; }

Shape ShapeOf(size_t rows, size_t columns) { return {static_cast<int64_t>(rows), static_cast<int64_t>(columns)}; }

PackedMatrix PackedAs(std::span<const float> values, size_t rows, size_t columns, Kind kind) {
  const StoredFloats stored(values, TypeOf(kind), ShapeOf(rows, columns), 0);
  PackedMatrix packed(TypeOf(kind), static_cast<int64_t>(rows), static_cast<int64_t>(columns), "weights",
                      ComputeOf(kind));
  PackRows(packed, stored.view().data);
  return packed;
}

std::vector<float> Transposed(std::span<const float> values, size_t rows, size_t columns) {
  std::vector<float> out(values.size());
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) out[c * rows + r] = values[r * columns + c];
  }
  return out;
}

std::vector<float> Rounded(std::span<const float> values, DType type) {
  std::vector<float> out(values.begin(), values.end());
  if (type == DType::kF32) return out;
  std::vector<std::byte> rounded(values.size() * 2);
  ConvertFromFloat(values.data(), values.size(), type, rounded.data());
  ConvertToFloat(type, rounded.data(), values.size(), out.data());
  return out;
}

size_t PackedSize(size_t n, size_t k) { return (n + kPanelRows - 1) / kPanelRows * kPanelRows * k; }
size_t PackedAt(size_t k, size_t row, size_t column) {
  return (row / kPanelRows * k + column) * kPanelRows + row % kPanelRows;
}

size_t FloatsFor(const BackwardCase& c) {
  const auto i = [](size_t value) { return static_cast<int64_t>(value); };
  return std::max({MatMulBackwardFloats(i(c.m), i(c.n), i(c.k)), ExecutionContext::PreparedFloats(c.m, c.n),
                   ExecutionContext::PreparedFloats(c.k, c.m)});
}

bool SameBits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// The types that rows are rounded to beside weights of this kind.
std::vector<DType> RowTypes(Kind kind) {
  if (kind == Kind::kF16 || kind == Kind::kBF16) return {DType::kF32, TypeOf(kind)};
  return {DType::kF32};
}

// Runs the product that has the bits of a gradient: without tiles, unless the weights are packed for Compute::kFast.
void RunExpected(Kind kind, const MatMulInput& product, ExecutionContext& exec) {
  const std::string target = SimdTargetInUse();
  if (TilesInUse() && kind != Kind::kFast) SelectSimdTarget("avx3");
  MatMul(product, exec);
  SelectSimdTarget(target);
}

// dx has the bits of MatMul with Wᵀ as its matrix.
TEST(MatMulInputGradient, HasTheBitsOfMatMulWithTheTransposedMatrix) {
  ForEachSimdTarget([] {
    for (const Kind kind : kKinds) {
      for (const BackwardCase c : kBackwardCases) {
        SCOPED_TRACE(testing::Message() << "kind " << static_cast<int>(kind) << ", " << c.m << " " << c.n << " "
                                        << c.k);
        const auto dy = RandomNormals(c.m * c.n, 1), w = RandomNormals(c.n * c.k, 2),
                   before = RandomNormals(c.m * c.k, 3);
        const PackedMatrix packed = PackedAs(w, c.n, c.k, kind);
        const PackedMatrix turned = PackedAs(Transposed(w, c.n, c.k), c.k, c.n, kind);
        for (const DType rows_as : RowTypes(kind)) {
          std::vector<float> want(c.m * c.k);
          ThreadPool one(1);
          ExecutionContext exec(one, FloatsFor(c));
          const int64_t m = static_cast<int64_t>(c.m);
          RunExpected(kind, {.x = dy.data(), .m = m, .w = &turned, .y = want.data(), .rows_as = rows_as}, exec);
          for (const auto& [threads, add] : {std::pair{size_t{1}, false}, std::pair{size_t{3}, true}}) {
            ThreadPool pool(threads);
            ExecutionContext of_threads(pool, FloatsFor(c));
            std::ranges::fill(std::span(of_threads.prepared_rows(), of_threads.prepared_capacity()), NAN);
            std::vector<float> moved(dy.size() + 1);  // at an odd address
            std::copy(dy.begin(), dy.end(), moved.begin() + 1);
            GuardedFloats dx(c.m * c.k);
            std::copy(before.begin(), before.end(), dx.data());
            MatMulInputGradient(
                {.dy = moved.data() + 1, .m = m, .w = &packed, .dx = dx.data(), .add = add, .rows_as = rows_as},
                of_threads);
            dx.Check();
            std::vector<float> sum = want;
            if (add) {
              for (size_t i = 0; i < sum.size(); ++i) sum[i] = before[i] + want[i];
            }
            ASSERT_TRUE(SameBits(dx.span(), sum))
                << threads << " threads, add " << add << ", rows as " << NameOf(rows_as);
          }
        }
      }
    }
  });
}

// Weights that are decoded piece by piece give the bits of the same weights in fp32.
TEST(MatMulInputGradient, QuantizedWeightsGiveTheBitsOfDecodedOnes) {
  for (const DType type : {DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    for (const BackwardCase blocks : {BackwardCase{1, 1, 1}, {5, 33, 2}, {83, 31, 3}, {257, 289, 1}}) {
      const BackwardCase c = {blocks.m, blocks.n, blocks.k * static_cast<size_t>(BlockElements(type))};
      SCOPED_TRACE(testing::Message() << NameOf(type) << " " << c.m << " " << c.n << " " << c.k);
      const PackedMatrix packed = RandomQuantized(type, c.n, c.k, 1);
      std::vector<float> decoded(c.n * c.k);
      for (size_t row = 0; row < c.n; ++row) packed.UnpackRow(row, decoded.data() + row * c.k);
      const PackedMatrix floats = PackedAs(decoded, c.n, c.k, Kind::kF32);
      const auto dy = RandomNormals(c.m * c.n, 2), before = RandomNormals(c.m * c.k, 3);
      const int64_t m = static_cast<int64_t>(c.m);
      ForEachSimdTarget([&] {
        for (const auto& [threads, add] : {std::pair{size_t{1}, false}, std::pair{size_t{3}, true}}) {
          ThreadPool pool(threads);
          ExecutionContext exec(pool, FloatsFor(c));
          GuardedFloats dx(c.m * c.k);
          std::copy(before.begin(), before.end(), dx.data());
          std::vector<float> want = before;
          MatMulInputGradient({.dy = dy.data(), .m = m, .w = &packed, .dx = dx.data(), .add = add}, exec);
          MatMulInputGradient({.dy = dy.data(), .m = m, .w = &floats, .dx = want.data(), .add = add}, exec);
          dx.Check();
          ASSERT_TRUE(SameBits(dx.span(), want)) << threads << " threads, add " << add;
        }
      });
    }
  }
}

// dW has the bits of MatMul with the rows of xᵀ and dyᵀ as its matrix; the padding of the packed result is zero.
TEST(MatMulWeightGradient, HasTheBitsOfMatMulWithTheTransposedRows) {
  ForEachSimdTarget([] {
    for (const Kind kind : kKinds) {
      for (const BackwardCase c : kBackwardCases) {
        SCOPED_TRACE(testing::Message() << "kind " << static_cast<int>(kind) << ", " << c.m << " " << c.n << " "
                                        << c.k);
        const auto dy = RandomNormals(c.m * c.n, 1), x = RandomNormals(c.m * c.k, 2);
        const auto before = RandomNormals(PackedSize(c.n, c.k), 3);
        // The matrix of MatMul has the type that dy's rows are rounded to.
        const PackedMatrix turned = PackedAs(Transposed(dy, c.m, c.n), c.n, c.m, kind);
        const DType rows_as = kind == Kind::kF16 ? DType::kF16 : kind == Kind::kBF16 ? DType::kBF16 : DType::kF32;
        const auto x_turned = Transposed(Rounded(x, rows_as), c.m, c.k);
        std::vector<float> want(c.k * c.n);  // [K, N]
        ThreadPool one(1);
        ExecutionContext exec(one, FloatsFor(c));
        RunExpected(kind, {.x = x_turned.data(), .m = static_cast<int64_t>(c.k), .w = &turned, .y = want.data()}, exec);
        for (const auto& [threads, add] :
             {std::pair{size_t{1}, false}, std::pair{size_t{2}, true}, std::pair{size_t{4}, false}}) {
          ThreadPool pool(threads);
          ExecutionContext of_threads(pool, FloatsFor(c));
          std::ranges::fill(std::span(of_threads.prepared_rows(), of_threads.prepared_capacity()), NAN);
          std::vector<float> moved(x.size() + 1);
          std::copy(x.begin(), x.end(), moved.begin() + 1);
          GuardedFloats dw(PackedSize(c.n, c.k));
          std::copy(before.begin(), before.end(), dw.data());
          MatMulWeightGradient({.dy = dy.data(),
                                .x = {.x = moved.data() + 1, .rows = static_cast<int64_t>(c.m)},
                                .n = static_cast<int64_t>(c.n),
                                .k = static_cast<int64_t>(c.k),
                                .dw = dw.data(),
                                .add = add,
                                .rows_as = rows_as,
                                .compute = ComputeOf(kind)},
                               of_threads);
          dw.Check();
          for (size_t i = 0; i < PackedSize(c.n, c.k) / c.k; ++i) {
            for (size_t column = 0; column < c.k; ++column) {
              const size_t at = PackedAt(c.k, i, column);
              const float product = i < c.n ? want[column * c.n + i] : 0;
              const float sum = i < c.n && add ? before[at] + product : product;
              ASSERT_TRUE(SameBits({dw.data() + at, 1}, {&sum, 1}))
                  << threads << " threads, add " << add << ", row " << i << ", column " << column;
            }
          }
        }
      }
    }
  });
}

// More rows of dy than are prepared at once: 1,024 of so many outputs.
TEST(MatMulInputGradient, LongBatchesArePreparedInParts) {
  const size_t m = 1031, n = 16384, k = 20, last = 10;
  const auto dy = ManyValues(m * n, 1);
  const PackedMatrix w = PackedAs(ManyValues(n * k, 2), n, k, Kind::kF32);
  ThreadPool pool(2);
  ExecutionContext exec(pool, MatMulBackwardFloats(m, n, k));
  EXPECT_LT(exec.prepared_capacity(), m * n * 17 / 16);
  std::vector<float> dx(m * k, 1.0f), part(last * k);
  MatMulInputGradient({.dy = dy.data(), .m = m, .w = &w, .dx = dx.data(), .add = true}, exec);
  for (const size_t first : {size_t{0}, size_t{1020}, m - last}) {
    MatMulInputGradient({.dy = dy.data() + first * n, .m = last, .w = &w, .dx = part.data()}, exec);
    for (size_t i = 0; i < part.size(); ++i) ASSERT_EQ(dx[first * k + i], 1.0f + part[i]) << first;
  }
}

// More columns of dy or x than are prepared at once: 2,048 of so many rows. An element depends on its two columns.
TEST(MatMulWeightGradient, WideOperandsArePreparedInParts) {
  const size_t m = 4099;
  const auto columns_of = [&](std::span<const float> values, size_t width, size_t first, size_t count) {
    std::vector<float> out(m * count);
    for (size_t r = 0; r < m; ++r) std::copy_n(values.data() + r * width + first, count, out.data() + r * count);
    return out;
  };
  const auto run = [&](std::span<const float> dy, size_t n, const ProductRows& x, size_t k, Compute compute) {
    ThreadPool pool(2);
    ExecutionContext exec(pool, MatMulBackwardFloats(m, static_cast<int64_t>(n), static_cast<int64_t>(k)));
    std::ranges::fill(std::span(exec.prepared_rows(), exec.prepared_capacity()), NAN);
    GuardedFloats dw(PackedSize(n, k));
    MatMulWeightGradient({.dy = dy.data(),
                          .x = x,
                          .n = static_cast<int64_t>(n),
                          .k = static_cast<int64_t>(k),
                          .dw = dw.data(),
                          .compute = compute},
                         exec);
    dw.Check();
    return std::vector<float>(dw.span().begin(), dw.span().end());
  };
  const auto rows_of = [&](std::span<const float> x) { return ProductRows{.x = x.data(), .rows = m}; };
  for (const Compute compute : {Compute::kExact, Compute::kFast}) {
    for (const auto& [n, k] : {std::pair{size_t{5}, size_t{2061}}, {size_t{2083}, size_t{7}}}) {
      if (TilesInUse() && compute == Compute::kFast && n < k) continue;  // seconds where tiles are emulated
      const auto dy = ManyValues(m * n, 1), x = ManyValues(m * k, 2);
      const auto all = run(dy, n, rows_of(x), k, compute);
      for (const size_t first_n : {size_t{0}, (n - 1) / kPanelRows * kPanelRows}) {
        for (const size_t first_k : {size_t{0}, k - std::min<size_t>(k, 15)}) {
          const size_t some_n = std::min(kPanelRows, n - first_n), some_k = std::min<size_t>(k, 15);
          const auto part = run(columns_of(dy, n, first_n, some_n), some_n, rows_of(columns_of(x, k, first_k, some_k)),
                                some_k, compute);
          for (size_t i = 0; i < some_n; ++i) {
            for (size_t c = 0; c < some_k; ++c) {
              ASSERT_EQ(all[PackedAt(k, first_n + i, first_k + c)], part[PackedAt(some_k, i, c)])
                  << "row " << first_n + i << ", column " << first_k + c;
            }
          }
        }
      }
      // A prologue is applied to parts of rows, but a norm needs them whole.
      if (n > k || compute == Compute::kFast) continue;
      const auto weight = ManyValues(k, 3), bias = ManyValues(k, 4);
      ThreadPool pool(2);
      ExecutionContext exec(pool, size_t{1});
      for (const Prologue& prologue :
           {Prologue(LayerNormWeights{weight.data(), bias.data(), 1e-5}), Prologue(GeluForm::kErf)}) {
        std::vector<float> applied(m * k);
        const ProductRows rows = {.x = x.data(), .rows = m, .prologue = prologue, .applied = applied.data()};
        ApplyPrologue(rows, k, exec);
        EXPECT_TRUE(SameBits(run(dy, n, rows, k, compute), run(dy, n, rows_of(applied), k, compute)));
      }
    }
  }
}

// As the forward product took them: the norm and the activation are applied again.
TEST(MatMulWeightGradient, AppliesThePrologueOfTheForwardProduct) {
  ForEachSimdTarget([] {
    const size_t m = 83, n = 37, k = 71;
    const auto dy = RandomNormals(m * n, 1), x = RandomNormals(m * k, 2), weight = RandomNormals(k, 3),
               bias = RandomNormals(k, 4);
    ThreadPool pool(3);
    ExecutionContext exec(pool, FloatsFor({m, n, k}));
    for (const Prologue& prologue :
         {Prologue(LayerNormWeights{weight.data(), bias.data(), 1e-5}), Prologue(GeluForm::kErf)}) {
      for (const auto& [rows_as, compute] :
           {std::pair{DType::kF32, Compute::kExact}, {DType::kBF16, Compute::kExact}, {DType::kBF16, Compute::kFast}}) {
        std::vector<float> applied(m * k), want(PackedSize(n, k)), got(PackedSize(n, k));
        ProductRows rows = {.x = x.data(), .rows = m, .prologue = prologue, .applied = applied.data()};
        ApplyPrologue(rows, k, exec);
        WeightGradient in = {.dy = dy.data(),
                             .x = {.x = applied.data(), .rows = m},
                             .n = n,
                             .k = k,
                             .dw = want.data(),
                             .rows_as = rows_as,
                             .compute = compute};
        MatMulWeightGradient(in, exec);
        in.x = rows;
        in.dw = got.data();
        MatMulWeightGradient(in, exec);
        EXPECT_TRUE(SameBits(got, want));
      }
    }
  });
}

// Against plain loops in fp64: the bound of ops/matmul.h with the summed dimension.
TEST(MatMulBackward, HoldsToThePlainLoops) {
  ForEachSimdTarget([] {
    for (const BackwardCase c : kBackwardCases) {
      SCOPED_TRACE(testing::Message() << c.m << " " << c.n << " " << c.k);
      const auto dy = RandomNormals(c.m * c.n, 1), w = RandomNormals(c.n * c.k, 2), x = RandomNormals(c.m * c.k, 3);
      const PackedMatrix packed = PackedAs(w, c.n, c.k, Kind::kF32);
      const auto magnitude = [](std::vector<float> values) {
        for (float& v : values) v = std::abs(v);
        return values;
      };
      ThreadPool pool(2);
      ExecutionContext exec(pool, FloatsFor(c));
      const int64_t m = static_cast<int64_t>(c.m), n = static_cast<int64_t>(c.n), k = static_cast<int64_t>(c.k);
      std::vector<float> dx(c.m * c.k), want(c.m * c.k), sizes(c.m * c.k);
      MatMulInputGradient({.dy = dy.data(), .m = m, .w = &packed, .dx = dx.data()}, exec);
      MatMulInputGradientRef({.dy = dy.data(), .m = m, .w = &packed, .dx = want.data()});
      InputGradientPlain(magnitude(dy).data(), magnitude(w).data(), c.m, c.n, c.k, false, sizes.data());
      for (size_t i = 0; i < dx.size(); ++i) {
        ASSERT_TRUE(Near(dx[i], want[i], static_cast<double>(c.n + 3) * kEps * sizes[i])) << i;
      }
      std::vector<float> dw(PackedSize(c.n, c.k)), want_dw(dw.size()), dw_sizes(c.n * c.k);
      MatMulWeightGradient({.dy = dy.data(), .x = {.x = x.data(), .rows = m}, .n = n, .k = k, .dw = dw.data()}, exec);
      MatMulWeightGradientRef({.dy = dy.data(), .x = {.x = x.data(), .rows = m}, .n = n, .k = k, .dw = want_dw.data()});
      WeightGradientPlain(magnitude(dy).data(), magnitude(x).data(), c.m, c.n, c.k, dw_sizes.data());
      for (size_t i = 0; i < c.n; ++i) {
        for (size_t column = 0; column < c.k; ++column) {
          const size_t at = PackedAt(c.k, i, column);
          ASSERT_TRUE(Near(dw[at], want_dw[at], static_cast<double>(c.m + 3) * kEps * dw_sizes[i * c.k + column]));
        }
      }
    }
  });
}

// The plain loops against central differences of sum(y * g): dx and dW are its derivatives when dy = g.
TEST(MatMulBackward, PlainLoopsAgreeWithCentralDifferences) {
  const size_t m = 5, n = 7, k = 3;
  const auto doubles = [](size_t count, uint64_t seed) {
    const auto floats = RandomNormals(count, seed);
    return std::vector<double>(floats.begin(), floats.end());
  };
  auto x = doubles(m * k, 1), w = doubles(n * k, 2);
  const auto g = doubles(m * n, 3);
  const auto loss = [&] {
    double sum = 0;
    for (size_t r = 0; r < m; ++r) {
      for (size_t i = 0; i < n; ++i) {
        double y = 0;
        for (size_t c = 0; c < k; ++c) y += x[r * k + c] * w[i * k + c];
        sum += std::sin(y) * g[r * n + i];  // not linear, so that dy depends on x and W
      }
    }
    return sum;
  };
  std::vector<double> dy(m * n), dx(m * k), dw(n * k);
  for (size_t r = 0; r < m; ++r) {
    for (size_t i = 0; i < n; ++i) {
      double y = 0;
      for (size_t c = 0; c < k; ++c) y += x[r * k + c] * w[i * k + c];
      dy[r * n + i] = std::cos(y) * g[r * n + i];
    }
  }
  InputGradientPlain(dy.data(), w.data(), m, n, k, false, dx.data());
  WeightGradientPlain(dy.data(), x.data(), m, n, k, dw.data());
  const auto check = [&](std::vector<double>& at, const std::vector<double>& gradient) {
    for (size_t i = 0; i < at.size(); ++i) {
      const double saved = at[i], h = 1e-5;
      at[i] = saved + h;
      const double above = loss();
      at[i] = saved - h;
      const double below = loss();
      at[i] = saved;
      const double want = (above - below) / (2 * h);
      EXPECT_TRUE(Near(gradient[i], want, 1e-6 * std::max(1.0, std::abs(want)))) << i;
    }
  };
  check(x, dx);
  check(w, dw);
}

}  // namespace
}  // namespace stablelm
