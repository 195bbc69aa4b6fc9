#include "ops/gelu_backward.h"

#include <initializer_list>
#include <limits>

#include "ops/op_testing.h"
#include "ops/ref/gelu_backward.h"

namespace stablelm {
namespace {

double Gelu64(GeluForm form, double z) {
  if (form == GeluForm::kErf) return 0.5 * z * std::erfc(-z / std::numbers::sqrt2);
  return 0.5 * z * (1 + std::tanh(0.7978845608028654 * (z + 0.044715 * z * z * z)));
}

TEST(GeluBackward, TheReferenceIsTheSlope) {
  for (const GeluForm form : {GeluForm::kErf, GeluForm::kTanh}) {
    for (double z = -6; z <= 6; z += 0.37) {
      const double h = 1e-5, dy = 1.7;
      const double slope = dy * (Gelu64(form, z + h) - Gelu64(form, z - h)) / (2 * h);
      double dx = 0;
      GeluBackwardRef(form, &z, &dy, 1, &dx);
      // Differences: h^2 / 6 of the third derivative (below 2), and the rounding of values below 6 over 2 h.
      EXPECT_TRUE(Near(dx, slope, dy * (4e-11 + 6 * 0x1p-52 / h))) << z << ": " << dx << " " << slope;
    }
  }
}

TEST(GeluBackward, FastBodyHoldsToTheReferenceEverywhere) {
  std::vector<float> points;
  for (double z = -14; z <= 14; z += 1.0 / 512) points.push_back(static_cast<float>(z));
  for (const float v : {0.0f, -0.0f, 1e-30f, -1e-30f, 100.0f, -100.0f, 3e38f, -3e38f}) points.push_back(v);
  const auto dy = RandomNormals(points.size(), 41);
  ForEachSimdTarget([&] {
    ThreadPool pool(2);
    ExecutionContext exec(pool, 1, 1);
    for (const GeluForm form : {GeluForm::kErf, GeluForm::kTanh}) {
      GuardedFloats fast(points.size());
      std::vector<float> want(points.size());
      GeluBackward(form, points.data(), dy.data(), points.size(), fast.data(), exec);
      GeluBackwardRef(form, points.data(), dy.data(), points.size(), want.data());
      fast.Check();
      for (size_t i = 0; i < points.size(); ++i) {
        // Of a derivative within [-0.13, 1.13]. Erf form: erfc / 2 <= 0.5 has 2e-8 of the fit and 10 roundings, 5.2
        // eps; z phi <= 0.242 has 6, and that of the exponent adds 1.5 |z|^3 phi <= 0.7: 2.1 eps; 1 - erfc / 2, the sum
        // and the product with dy 1.13 each: 10.7. Tanh form: the exponent's 3 roundings move s by 3 |u| s (1 - s) <=
        // 0.7 eps, and exp, sum and quotient by 3; the second part, T <= 0.25, has 10 roundings and moves by 6 |u|
        // T: 5.2 eps; sum and product 1.13 each: 11.2.
        const double bound = 12 * kEps * std::abs(static_cast<double>(dy[i]));
        ASSERT_TRUE(Near(fast.span()[i], want[i], bound)) << points[i] << ": " << fast.span()[i] << " " << want[i];
      }
    }
  });
}

TEST(GeluBackward, BitsDoNotDependOnThePlace) {
  const auto values = RandomNormals(20011, 42, 3), dy = RandomNormals(20011, 43);
  ForEachSimdTarget([&] {
    for (const GeluForm form : {GeluForm::kErf, GeluForm::kTanh}) {
      std::vector<float> first;
      for (const size_t threads : std::initializer_list<size_t>{1, 2, 3, 4}) {
        ThreadPool pool(threads);
        ExecutionContext exec(pool, 1, 1);
        auto a = dy;  // in place
        const size_t cut = threads == 1 ? 0 : 5;
        GeluBackward(form, values.data() + cut, a.data() + cut, a.size() - cut, a.data() + cut, exec);
        GeluBackward(form, values.data(), a.data(), cut, a.data(), exec);
        if (first.empty()) first = a;
        EXPECT_EQ(std::memcmp(a.data(), first.data(), a.size() * sizeof(float)), 0) << threads;
      }
    }
  });
}

TEST(GeluBackward, NanIsNotHidden) {
  ForEachSimdTarget([] {
    ThreadPool pool(1);
    ExecutionContext exec(pool, 1, 1);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const GeluForm form : {GeluForm::kErf, GeluForm::kTanh}) {
      const float x[2] = {nan, 1}, dy[2] = {1, nan};
      float dx[2];
      GeluBackward(form, x, dy, 2, dx, exec);
      EXPECT_TRUE(std::isnan(dx[0]));
      EXPECT_TRUE(std::isnan(dx[1]));
    }
  });
}

}  // namespace
}  // namespace stablelm
