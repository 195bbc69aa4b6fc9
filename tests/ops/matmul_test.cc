#include "ops/matmul.h"

#include "ops/op_testing.h"

namespace stablelm {
namespace {

struct Case {
  size_t m, n, k;
};

// Sizes around the tile heights (6, 14), the panel (32), the piece (256), the block of rows (256) and the vector
// lengths.
const Case kCases[] = {{1, 1, 1},     {1, 5, 7},      {1, 70, 64},    {2, 33, 60},  {3, 24, 150},
                       {4, 25, 1025}, {5, 7, 1023},   {7, 150, 16},   {13, 24, 17}, {16, 64, 512},
                       {31, 3, 700},  {130, 33, 257}, {257, 260, 33}, {1, 290, 9}};

PackedMatrix Packed(const TensorView& stored) {
  PackedMatrix packed(stored.dtype, stored.shape[0], stored.shape[1], "weights");
  PackRows(packed, stored.data);
  return packed;
}

std::vector<float> Absolute(std::vector<float> values) {
  for (float& v : values) v = std::abs(v);
  return values;
}

TEST(MatMul, FastBodyHoldsToTheReference) {
  ForEachSimdTarget([] {
    ThreadPool pool(3);
    for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
      for (const Case c : kCases) {
        for (const size_t offset : std::initializer_list<size_t>{0, 1, 3}) {
          SCOPED_TRACE(testing::Message()
                       << NameOf(type) << " m " << c.m << " n " << c.n << " k " << c.k << " +" << offset);
          const auto x = RandomNormals(c.m * c.k, 1), w = RandomNormals(c.n * c.k, 2), bias = RandomNormals(c.n, 3);
          const Shape shape{static_cast<int64_t>(c.n), static_cast<int64_t>(c.k)};
          const StoredFloats stored(w, type, shape, offset), magnitude(Absolute(w), type, shape, 0);
          const PackedMatrix packed = Packed(stored.view()), packed_magnitude = Packed(magnitude.view());
          const auto x_magnitude = Absolute(x), bias_magnitude = Absolute(bias);
          ExecutionContext exec(pool, c.m, c.k);
          GuardedFloats y(c.m * c.n);
          std::vector<float> want(c.m * c.n), sum_of_products(c.m * c.n);
          const int64_t m = static_cast<int64_t>(c.m);
          MatMul({.x = x.data(), .m = m, .w = &packed, .bias = bias.data(), .y = y.data()}, exec);
          MatMulRef({.x = x.data(), .m = m, .w = &packed, .bias = bias.data(), .y = want.data()});
          MatMulRef({.x = x_magnitude.data(),
                     .m = m,
                     .w = &packed_magnitude,
                     .bias = bias_magnitude.data(),
                     .y = sum_of_products.data()});
          y.Check();
          // A sum of K rounded products (twice rounded without FMA) and a bias: at most (K + 3) eps times the sum of
          // magnitudes. With AMX tiles: the bound of ops/matmul.h.
          const size_t parts = type == DType::kF32 ? 3 : type == DType::kF16 ? 2 : 1;
          const size_t roundings = TilesInUse() ? parts * ((c.k + 31) / 32) + 22 : c.k + 3;
          const double bound = static_cast<double>(roundings) * kEps;
          for (size_t i = 0; i < want.size(); ++i) {
            ASSERT_TRUE(Near(y.span()[i], want[i], bound * sum_of_products[i]))
                << i << ": " << y.span()[i] << " " << want[i];
          }
        }
      }
    }
  });
}

TEST(MatMul, RowsHaveTheSameBitsAloneInBatchesAndWithAnyThreads) {
  ForEachSimdTarget([] {
    for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
      const size_t m = 141, n = 77, k = 2100;
      const auto x = RandomNormals(m * k, 4), w = RandomNormals(n * k, 5), bias = RandomNormals(n, 6);
      const StoredFloats stored(w, type, Shape{77, 2100}, 1);
      const PackedMatrix packed = Packed(stored.view());
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
      for (const size_t rows : std::initializer_list<size_t>{1, 2, 3, 4, 5, 8, 17, 128, 141}) {
        for (const size_t first : {size_t{0}, (m - rows) / 2, m - rows}) {
          const auto part = run(first, rows, 1 + rows % 3);
          ASSERT_EQ(std::memcmp(part.data(), all.data() + first * n, part.size() * sizeof(float)), 0)
              << NameOf(type) << " rows " << rows << " from " << first;
        }
      }
    }
  });
}

// y += x Wᵀ + b, and rows that are rounded first: as if the rows had been rounded before, alone and in batches.
TEST(MatMul, AddsToYAndRoundsRows) {
  ForEachSimdTarget([] {
    const size_t n = 37, k = 290;
    const auto w = RandomNormals(n * k, 2), bias = RandomNormals(n, 3);
    for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
      const StoredFloats stored(w, type, Shape{37, 290}, 0);
      const PackedMatrix packed = Packed(stored.view());
      for (const DType rows_as : {DType::kF32, DType::kF16, DType::kBF16}) {
        for (const size_t m : {size_t{1}, size_t{4}, size_t{5}, size_t{300}}) {
          SCOPED_TRACE(testing::Message() << NameOf(type) << " rows as " << NameOf(rows_as) << " m " << m);
          const auto x = RandomNormals(m * k, 1), before = RandomNormals(m * n, 4);
          std::vector<float> rounded = x;
          if (rows_as != DType::kF32) {
            std::vector<std::byte> half(x.size() * 2);
            ConvertFromFloat(x.data(), x.size(), rows_as, half.data());
            ConvertToFloat(rows_as, half.data(), x.size(), rounded.data());
          }
          ThreadPool pool(2);
          ExecutionContext exec(pool, m, k);
          std::vector<float> product(m * n), sum = before;
          const int64_t rows = static_cast<int64_t>(m);
          MatMul({.x = rounded.data(), .m = rows, .w = &packed, .bias = bias.data(), .y = product.data()}, exec);
          MatMul({.x = x.data(),
                  .m = rows,
                  .w = &packed,
                  .bias = bias.data(),
                  .y = sum.data(),
                  .add = true,
                  .rows_as = rows_as},
                 exec);
          for (size_t i = 0; i < sum.size(); ++i) ASSERT_EQ(sum[i], before[i] + product[i]) << i;
        }
      }
    }
  });
}

// More rows than a product prepares at once: 1,024 of so many columns.
TEST(MatMul, LongBatchesArePreparedInParts) {
  const size_t m = 1031, n = 5, k = 16384, last = 10;
  const auto x = ManyValues(m * k, 1), before = ManyValues(m * n, 2);
  PackedMatrix w(DType::kF32, n, k, "weights");
  const auto values = ManyValues(n * k, 3);
  PackRows(w, reinterpret_cast<const std::byte*>(values.data()));
  ThreadPool pool(2);
  ExecutionContext exec(pool, m, k);
  EXPECT_LT(exec.prepared_capacity(), m * k * 17 / 16);
  std::vector<float> y = before, applied(m * k);
  MatMul({.x = x.data(),
          .m = m,
          .w = &w,
          .y = y.data(),
          .prologue = GeluForm::kErf,
          .applied = applied.data(),
          .add = true},
         exec);
  for (const size_t first : {size_t{0}, size_t{1020}, m - last}) {
    std::vector<float> part(last * n), room(last * k);
    MatMul({.x = x.data() + first * k,
            .m = last,
            .w = &w,
            .y = part.data(),
            .prologue = GeluForm::kErf,
            .applied = room.data()},
           exec);
    for (size_t i = 0; i < part.size(); ++i) ASSERT_EQ(y[first * n + i], before[first * n + i] + part[i]) << first;
  }
}

// All targets with FMA compute the same chains, whatever their vector length; AMX tiles do not (ops.matmul_amx_test).
TEST(MatMul, TargetsWithFmaGiveTheSameBits) {
  const size_t n = 70, k = 600;
  const auto w = RandomNormals(n * k, 8);
  const StoredFloats stored(w, DType::kF16, Shape{70, 600}, 0);
  const PackedMatrix packed = Packed(stored.view());
  for (const size_t m : {size_t{1}, size_t{3}, size_t{9}, size_t{40}}) {
    const auto x = RandomNormals(m * k, 7);
    std::vector<float> first;
    for (const std::string& target : UsableSimdTargets()) {
      SelectSimdTarget(target);
      if (!HasFma(target) || TilesInUse()) continue;
      ThreadPool pool(2);
      ExecutionContext exec(pool, m, k);
      std::vector<float> y(m * n);
      MatMul({.x = x.data(), .m = static_cast<int64_t>(m), .w = &packed, .bias = nullptr, .y = y.data()}, exec);
      if (first.empty()) first = y;
      EXPECT_EQ(std::memcmp(first.data(), y.data(), y.size() * sizeof(float)), 0) << target << " m " << m;
    }
  }
  SelectSimdTarget("");
}

// Recorded once: x86 and Arm, every compiler and every processor with fused multiply-adds agree on them.
TEST(MatMul, TargetsWithFmaGiveTheRecordedBits) {
  const std::pair<DType, const char*> recorded[] = {
      {DType::kF32, "868dc99fca11557f"}, {DType::kF16, "467139b3b94fb7ab"}, {DType::kBF16, "df71a57d00047c0c"}};
  ForEachSimdTarget([&] {
    if (!HasFma(SimdTargetInUse()) || TilesInUse()) return;
    for (const auto& [type, want] : recorded) {
      const size_t n = 70, k = 600;
      const auto w = RandomFractions(n * k, 10), bias = RandomFractions(n, 12);
      const StoredFloats stored(w, type, Shape{70, 600}, 0);
      const PackedMatrix packed = Packed(stored.view());
      std::vector<float> all;
      for (const size_t m : {size_t{2}, size_t{17}}) {  // streamed and tiled
        const auto x = RandomFractions(m * k, 11);
        ThreadPool pool(2);
        ExecutionContext exec(pool, m, k);
        std::vector<float> y(m * n);
        MatMul({.x = x.data(), .m = static_cast<int64_t>(m), .w = &packed, .bias = bias.data(), .y = y.data()}, exec);
        all.insert(all.end(), y.begin(), y.end());
      }
      EXPECT_EQ(DigestOf(all), want) << NameOf(type);
    }
  });
}

TEST(PackedMatrix, KeepsEveryElementOnEveryTarget) {
  ForEachSimdTarget([] {
    for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
      for (const size_t k : std::initializer_list<size_t>{1, 7, 8, 20, 515}) {
        const size_t n = 67;
        const auto w = RandomNormals(n * k, 9);
        const StoredFloats stored(w, type, Shape{67, static_cast<int64_t>(k)}, 1);
        const PackedMatrix packed = Packed(stored.view());
        std::vector<float> want(n * k), row(k);
        ConvertToFloat(type, stored.view().data, n * k, want.data());
        for (size_t r = 0; r < n; ++r) {
          packed.UnpackRow(r, row.data());
          ASSERT_EQ(std::memcmp(row.data(), want.data() + r * k, k * sizeof(float)), 0) << NameOf(type) << " row " << r;
        }
      }
    }
  });
}

}  // namespace
}  // namespace stablelm
