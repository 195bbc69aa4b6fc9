#include <initializer_list>
#include <limits>

#include "ops/add.h"
#include "ops/gelu.h"
#include "ops/layer_norm.h"
#include "ops/op_testing.h"
#include "ops/rotary.h"
#include "ops/scores/softmax.h"

namespace stablelm {
namespace {

TEST(LayerNorm, FastBodyHoldsToTheReference) {
  ForEachSimdTarget([] {
    ThreadPool pool(2);
    ExecutionContext exec(pool, 1, 1);
    for (const size_t width : std::initializer_list<size_t>{1, 2, 7, 16, 60, 64, 255, 4096}) {
      for (const size_t rows : std::initializer_list<size_t>{1, 5}) {
        SCOPED_TRACE(testing::Message() << rows << " x " << width);
        auto x = RandomNormals(rows * width, 11);
        for (float& v : x) v += 3;  // a mean that is not small against the spread
        const auto weight = RandomNormals(width, 12), bias = RandomNormals(width, 13);
        const LayerNormWeights norm = {.weight = weight.data(), .bias = bias.data(), .eps = 1e-5};
        GuardedFloats y(rows * width);
        std::vector<float> want(rows * width);
        LayerNorm({.x = x.data(), .rows = rows, .width = width, .norm = norm, .y = y.data()}, exec);
        LayerNormRef({.x = x.data(), .rows = rows, .width = width, .norm = norm, .y = want.data()});
        y.Check();
        for (size_t i = 0; i < want.size(); ++i) {
          // The mean (about 3) is off by at most (width / 4 + 4) eps * 7 (|x| < 7); it shifts every centred value,
          // which 1/sigma (at most 1 / sqrt(1e-5) for width 1, where x - mean is 0, else below 30) and the weight
          // magnify.
          const double shift = (static_cast<double>(width) / 4 + 4) * kEps * 7;
          const double bound =
              (shift * 30 + 8 * kEps * 30) * std::abs(weight[i % width]) + 4 * kEps * std::abs(want[i]) + kEps;
          ASSERT_TRUE(Near(y.span()[i], want[i], width == 1 ? 1e-6 : bound))
              << i << ": " << y.span()[i] << " " << want[i];
        }
      }
    }
  });
}

TEST(Gelu, FastBodyHoldsToTheReferenceEverywhere) {
  std::vector<float> points;
  for (double z = -14; z <= 14; z += 1.0 / 512) points.push_back(static_cast<float>(z));
  for (const float v : {0.0f, -0.0f, 1e-30f, -1e-30f, 100.0f, -100.0f, 3e38f, -3e38f}) points.push_back(v);
  ForEachSimdTarget([&] {
    ThreadPool pool(2);
    ExecutionContext exec(pool, 1, 1);
    for (const GeluForm form : {GeluForm::kErf, GeluForm::kTanh}) {
      GuardedFloats fast(points.size());
      std::vector<float> want(points.size());
      Gelu(form, points.data(), points.size(), fast.data(), exec);
      GeluRef(form, points.data(), points.size(), want.data());
      fast.Check();
      for (size_t i = 0; i < points.size(); ++i) {
        // erfc's fit has a relative error of 2e-8, exp and the rest add about 5 eps: 3.2e-7 of 0.5 |z| erfc <= 0.17,
        // plus the rounding of z. In the tanh form the exponent's rounding (|u| eps) moves z / (1 + e^u) by at most 0.3
        // |z| eps.
        const double bound = 1.2e-7 + 2 * kEps * std::abs(static_cast<double>(points[i]));
        ASSERT_TRUE(Near(fast.span()[i], want[i], bound)) << points[i] << ": " << fast.span()[i] << " " << want[i];
      }
    }
  });
}

// The tail of negative z is small, and right to its last digits all the same.
TEST(Gelu, TheTailKeepsItsRelativeError) {
  std::vector<float> points;
  for (double z = -6; z < 0; z += 1.0 / 1024) points.push_back(static_cast<float>(z));
  ForEachSimdTarget([&] {
    std::vector<float> fast(points.size()), want(points.size());
    GeluRow(GeluForm::kErf, points.data(), points.size(), fast.data());
    GeluRef(GeluForm::kErf, points.data(), points.size(), want.data());
    for (size_t i = 0; i < points.size(); ++i) {
      // The fit has 2.0e-8. Roundings: 10 of t, Q, exp and the products; that of a and a^2 moves exp(-a^2), a^2 = z^2 /
      // 2, by 3 a^2 eps.
      const double z = static_cast<double>(points[i]);
      const double bound = (2e-8 + (10 + 1.5 * z * z) * kEps) * std::abs(static_cast<double>(want[i]));
      ASSERT_TRUE(Near(fast[i], want[i], bound)) << points[i] << ": " << fast[i] << " " << want[i];
    }
  });
}

TEST(Gelu, BitsDoNotDependOnThePlace) {
  ForEachSimdTarget([] {
    ThreadPool one(1), three(3);
    ExecutionContext one_thread(one, 1, 1), three_threads(three, 1, 1);
    const auto values = RandomNormals(20011, 14, 3);
    for (const GeluForm form : {GeluForm::kErf, GeluForm::kTanh}) {
      auto a = values, b = values;
      Gelu(form, a.data(), a.size(), a.data(), one_thread);
      Gelu(form, b.data() + 5, b.size() - 5, b.data() + 5, three_threads);
      GeluRow(form, b.data(), 5, b.data());
      EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
    }
  });
}

TEST(Gelu, NanAndInfinityAreNotHidden) {
  ForEachSimdTarget([] {
    ThreadPool pool(1);
    ExecutionContext exec(pool, 1, 1);
    for (const GeluForm form : {GeluForm::kErf, GeluForm::kTanh}) {
      float values[2] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()};
      Gelu(form, values, 2, values, exec);
      EXPECT_TRUE(std::isnan(values[0]));
      EXPECT_FALSE(std::isfinite(values[1]));
    }
  });
}

TEST(Add, OrderOfAdditions) {
  ThreadPool pool(2);
  ExecutionContext exec(pool, 1, 1);
  std::vector<float> m(40000, 1e8f), a(40000, -1e8f), x(40000, 1.0f);
  AddPair(m.data(), a.data(), x.data(), x.data(), x.size(), exec);
  for (const float v : x) ASSERT_EQ(v, 1.0f);  // (m + a) + x; m + (a + x) would give 0
  Add(x.data(), m.data(), m.data(), m.size(), exec);
  ASSERT_EQ(m[39999], 1e8f + 1.0f);
}

TEST(LogSumExp, FastBodyHoldsToTheReference) {
  ForEachSimdTarget([] {
    for (const size_t n : std::initializer_list<size_t>{1, 3, 16, 515, 50688}) {
      for (const double scale : {0.5, 8.0}) {
        auto x = RandomNormals(n, 15, scale);
        if (n > 3) x[1] = -std::numeric_limits<float>::infinity();
        // Each term is off by about 3 eps (exp), each partial sum of 64 vectors by 64 eps: relative to the sum, and the
        // logarithm turns relative into absolute.
        ASSERT_TRUE(Near(LogSumExp(x.data(), n), LogSumExpRef(x.data(), n), 70 * kEps)) << n;
      }
    }
  });
}

// The formula of the model: out[i] = u[i] cos - u[i + R/2] sin; out[i + R/2] = u[i + R/2] cos + u[i] sin.
TEST(Rotary, TurnsPairsAndLeavesTheRest) {
  const RotaryTable table(6, 10000, 64);
  const std::vector<float> u = {1, 2, 3, 4, 5, 6, 7, 8};
  auto v = u;
  RotateInPlace(table, 0, v.data());
  EXPECT_EQ(v, u);
  RotateInPlace(table, 63, v.data());
  for (size_t i = 0; i < 3; ++i) {
    const double angle = 63 / std::pow(10000.0, 2.0 * static_cast<double>(i) / 6);
    // The angle is rounded to fp32 (63 * eps), the values are below 7 and each result takes three roundings.
    EXPECT_NEAR(v[i], u[i] * std::cos(angle) - u[i + 3] * std::sin(angle), 63 * 4 * kEps * 7);
    EXPECT_NEAR(v[i + 3], u[i + 3] * std::cos(angle) + u[i] * std::sin(angle), 63 * 4 * kEps * 7);
  }
  EXPECT_EQ(v[6], 7);
  EXPECT_EQ(v[7], 8);
}

}  // namespace
}  // namespace stablelm
