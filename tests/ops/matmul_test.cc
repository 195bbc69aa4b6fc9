#include "ops/matmul.h"

#include "ops/op_testing.h"

namespace stablelm {
namespace {

struct Case {
  size_t m, n, k;
};

// Around the tile sizes (3, 4, 6, 24, 126, 128), the chunk (1024) and the vector lengths.
const Case kCases[] = {{1, 1, 1},     {1, 5, 7},       {1, 70, 64}, {2, 33, 60},  {3, 24, 150},
                       {4, 25, 1025}, {5, 7, 1023},    {7, 50, 16}, {13, 24, 17}, {16, 48, 1024},
                       {31, 3, 2100}, {130, 29, 1030}, {257, 6, 33}};

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
          const auto x_magnitude = Absolute(x), bias_magnitude = Absolute(bias);
          Workspace workspace(3, c.m, c.k);
          GuardedFloats y(c.m * c.n);
          std::vector<float> want(c.m * c.n), sum_of_products(c.m * c.n);
          const int64_t m = static_cast<int64_t>(c.m);
          MatMul({.x = x.data(), .m = m, .w = stored.view(), .bias = bias.data(), .y = y.data()}, pool, workspace);
          MatMulRef({.x = x.data(), .m = m, .w = stored.view(), .bias = bias.data(), .y = want.data()});
          MatMulRef({.x = x_magnitude.data(),
                     .m = m,
                     .w = magnitude.view(),
                     .bias = bias_magnitude.data(),
                     .y = sum_of_products.data()});
          y.Check();
          // A sum of K rounded products (twice rounded without FMA) and a bias: at most (K + 3) eps times the sum of
          // magnitudes.
          const double bound = static_cast<double>(c.k + 3) * kEps;
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
      const auto run = [&](size_t first, size_t rows, size_t threads) {
        ThreadPool pool(threads);
        Workspace workspace(threads, rows, k);
        std::vector<float> y(rows * n);
        MatMul({.x = x.data() + first * k,
                .m = static_cast<int64_t>(rows),
                .w = stored.view(),
                .bias = bias.data(),
                .y = y.data()},
               pool, workspace);
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

}  // namespace
}  // namespace stablelm
