#include "ops/adamw.h"

#include <initializer_list>
#include <limits>

#include "ops/gradient_norm.h"
#include "ops/op_testing.h"
#include "ops/ref/adamw.h"
#include "ops/ref/gradient_norm.h"

namespace stablelm {
namespace {

// By hand: theta = 1, g = 0.5 gives 0.999 - 0.1 (0.5 / (0.5 + 1e-8)).
TEST(AdamW, OneStepInOneDimension) {
  const AdamWStep step = {.rate = 0.1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .decay = 0.01, .t = 1};
  const double want = 0.999 - 0.1 * (0.5 / (0.5 + 1e-8));
  double w = 1, m = 0, v = 0;
  const double g = 0.5;
  AdamWRef(step, 1, &g, &w, &m, &v);
  EXPECT_NEAR(w, want, 4e-16);
  EXPECT_NEAR(m, 0.05, 3e-17);
  EXPECT_NEAR(v, 0.0025, 4e-18);
  ForEachSimdTarget([&] {
    const float gradient = 0.5f;
    float weight = 1, mean = 0, square = 0;
    AdamW(step, 1, &gradient, &weight, &mean, &square);
    EXPECT_TRUE(Near(weight, want, 4 * kEps)) << weight;
  });
}

// import torch
// w = torch.tensor([1.0, -0.25, 3e-3], dtype=torch.float64, requires_grad=True)
// opt = torch.optim.AdamW([w], lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.01)
// for t in range(1, 13):
//     g = [((i*i*5 + t*t*7 + i*t*3) % 17 - 8) / 16 * 4**-i for i in range(3)]
//     w.grad = torch.tensor(g, dtype=torch.float64)
//     opt.step()
//     print(w.tolist())
constexpr double kTorch[12][3] = {
    {1.0989999840000026, -0.3497499908571437, -0.09700296800001024},
    {1.0485711724105327, -0.3817086178434628, -0.1727949207036264},
    {0.97390788331073, -0.41449622844756984, -0.2591685395631076},
    {0.8955153181519175, -0.45514939304616653, -0.30038271469185096},
    {0.8634410895410598, -0.48948505561889427, -0.3166925588087817},
    {0.8072613708730058, -0.48627691402627077, -0.30748151869621365},
    {0.7898560876263278, -0.5035648082684264, -0.31959680284041303},
    {0.7843942490927412, -0.4878575242322004, -0.32380565422157037},
    {0.7889384462937552, -0.4594736315021891, -0.3395353809676779},
    {0.8133933379676409, -0.42094642231304197, -0.371628470346889},
    {0.810429430970768, -0.3682626970295323, -0.41606574080739017},
    {0.8185325616186231, -0.33457954227480885, -0.4650876136944696},
};

template <typename T>
std::vector<T> GradientOf(int64_t t) {
  std::vector<T> g;
  for (int64_t i = 0; i < 3; ++i) {
    g.push_back(static_cast<T>((i * i * 5 + t * t * 7 + i * t * 3) % 17 - 8) / static_cast<T>(16 << 2 * i));
  }
  return g;
}

TEST(AdamW, TwelveStepsAreThoseOfTorch) {
  AdamWStep step = {.rate = 0.1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .decay = 0.01};
  std::vector<double> w = {1.0, -0.25, 3e-3}, m(3), v(3);
  for (step.t = 1; step.t <= 12; ++step.t) {
    AdamWRef(step, 3, GradientOf<double>(step.t).data(), w.data(), m.data(), v.data());
    for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(Near(w[i], kTorch[step.t - 1][i], 1e-14)) << step.t << ", " << i;
  }
  ForEachSimdTarget([&] {
    for (const float scale : {1.0f, 1024.0f}) {  // a loss scale, divided out
      std::vector<float> weights = {1.0f, -0.25f, 3e-3f}, mean(3), square(3);
      step.gradient_scale = 1 / static_cast<double>(scale);
      for (step.t = 1; step.t <= 12; ++step.t) {
        auto g = GradientOf<float>(step.t);
        for (float& value : g) value *= scale;
        AdamW(step, 3, g.data(), weights.data(), mean.data(), square.data());
        for (size_t i = 0; i < 3; ++i) {
          // Each step moves by at most 0.1 with about 10 roundings, and m's sum may cancel: 20 eps of 0.1. The sum with
          // a weight below 1.1 rounds by eps. Errors add up over the steps.
          const double bound = static_cast<double>(step.t) * (20 * 0.1 + 1.1) * kEps;
          EXPECT_TRUE(Near(weights[i], kTorch[step.t - 1][i], bound)) << step.t << ", " << i;
        }
      }
    }
  });
}

TEST(AdamW, FastBodyHoldsToTheReference) {
  const AdamWStep step = {
      .rate = 2e-5, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .decay = 0.01, .t = 7, .gradient_scale = 0.37 / 4096};
  ForEachSimdTarget([&] {
    for (const size_t n : std::initializer_list<size_t>{0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 33, 1000}) {
      SCOPED_TRACE(n);
      const auto g = RandomNormals(n + 1, 31, 100), w = RandomNormals(n + 1, 32, 0.02),
                 m = RandomNormals(n + 1, 33, 1e-3);
      auto v = RandomNormals(n + 1, 34, 1e-3);
      for (float& value : v) value *= value;
      GuardedFloats weights(n), mean(n), square(n);
      std::vector<float> want_w(w.begin() + 1, w.end()), want_m(m.begin() + 1, m.end()), want_v(v.begin() + 1, v.end());
      std::copy_n(want_w.data(), n, weights.data());
      std::copy_n(want_m.data(), n, mean.data());
      std::copy_n(want_v.data(), n, square.data());
      AdamW(step, n, g.data() + 1, weights.data(), mean.data(), square.data());
      AdamWRef(step, n, g.data() + 1, want_w.data(), want_m.data(), want_v.data());
      weights.Check();
      mean.Check();
      square.Check();
      for (size_t i = 0; i < n; ++i) {
        // m is a sum of two products: each factor, product and the sum rounds, 4 eps of each part. v has only positive
        // parts: 6 eps. The change is rate m / sqrt(v): 4 eps of m's parts, 3 of the root of v and 6 more.
        const double part_g = 0.1 * std::abs(static_cast<double>(g[i + 1]) * step.gradient_scale);
        const double parts = 0.9 * std::abs(static_cast<double>(m[i + 1])) + part_g;
        ASSERT_TRUE(Near(mean.data()[i], want_m[i], 5 * kEps * parts)) << i;
        ASSERT_TRUE(Near(square.data()[i], want_v[i], 7 * kEps * static_cast<double>(want_v[i]))) << i;
        const double root = std::sqrt(static_cast<double>(want_v[i]) / (1 - std::pow(step.beta2, 7.0))) + step.epsilon;
        const double change = step.rate / (1 - std::pow(step.beta1, 7.0)) * parts / root;
        const double bound = 16 * kEps * change + 2 * kEps * std::abs(static_cast<double>(want_w[i])) + 1e-12 * kEps;
        ASSERT_TRUE(Near(weights.data()[i], want_w[i], bound)) << i << ": " << weights.data()[i] << " " << want_w[i];
      }
    }
  });
}

// Moments without a gradient reach zero, in the vector body and in what is left over; NaN stays NaN.
TEST(AdamW, MomentsFadeToZeroAndNotIntoDenormals) {
  ForEachSimdTarget([] {
    constexpr size_t n = 19;
    const std::vector<float> g(n);
    std::vector<float> w(n, 0.5f), m(n, -1e-3f), v(n, 1e-6f);
    w[3] = NAN, m[4] = NAN, v[n - 1] = NAN;
    AdamWStep step = {.rate = 1e-3, .beta1 = 0.5, .beta2 = 0.5};
    bool zero = false;
    for (step.t = 1; step.t <= 200; ++step.t) {
      AdamW(step, n, g.data(), w.data(), m.data(), v.data());
      for (size_t i = 0; i < n; ++i) {
        EXPECT_EQ(std::isnan(m[i]), i == 4);
        EXPECT_EQ(std::isnan(v[i]), i == n - 1);
        EXPECT_NE(std::fpclassify(m[i]), FP_SUBNORMAL) << step.t;
        EXPECT_NE(std::fpclassify(v[i]), FP_SUBNORMAL) << step.t;
      }
      // -1e-3 / 2^116 is the last product above 2^-126.
      EXPECT_EQ(m[0] == 0, step.t > 116) << step.t;
      zero = m[0] == 0 && v[0] == 0;
    }
    EXPECT_TRUE(zero);
  });
}

// An element has the same bits at every place, alignment and length, and on every target with FMA.
TEST(AdamW, BitsDoNotDependOnThePlaceOrTheTarget) {
  const size_t n = 103;
  const AdamWStep step = {.rate = 1e-3, .decay = 0.1, .t = 3, .gradient_scale = 0.7};
  const auto g = RandomNormals(n, 35), w = RandomNormals(n, 36), m = RandomNormals(n, 37);
  auto v = RandomNormals(n, 38);
  for (float& value : v) value *= value;
  std::vector<float> with_fma;
  ForEachSimdTarget([&] {
    std::vector<float> all = w, all_m = m, all_v = v;
    AdamW(step, n, g.data(), all.data(), all_m.data(), all_v.data());
    for (size_t i = 0; i < n; ++i) {
      float one = w[i], one_m = m[i], one_v = v[i];
      AdamW(step, 1, g.data() + i, &one, &one_m, &one_v);
      ASSERT_EQ(one, all[i]) << i;
      ASSERT_EQ(one_m, all_m[i]) << i;
      ASSERT_EQ(one_v, all_v[i]) << i;
    }
    if (!HasFma(SimdTargetInUse())) return;
    all.insert(all.end(), all_m.begin(), all_m.end());
    all.insert(all.end(), all_v.begin(), all_v.end());
    if (with_fma.empty()) with_fma = all;
    EXPECT_EQ(all, with_fma);
  });
}

TEST(AdamW, ShowsWhatIsNotFinite) {
  ForEachSimdTarget([] {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      float w[2] = {1, 1}, m[2] = {}, v[2] = {};
      const float g[2] = {bad, 1};
      AdamW({.rate = 0.1}, 2, g, w, m, v);
      EXPECT_FALSE(std::isfinite(w[0]));
      EXPECT_TRUE(std::isfinite(w[1]));
    }
  });
}

TEST(SumsOfSquares, HaveTheBitsOfTheOrderOnEveryTarget) {
  ForEachSimdTarget([] {
    for (const size_t n : std::initializer_list<size_t>{0, 1, 15, 16, 17, 100, 65535, 65536, 65537, 200001}) {
      SCOPED_TRACE(n);
      const auto x = RandomNormals(n + 1, 39, 1e-3);
      const size_t chunks = (n + kNormChunk - 1) / kNormChunk;
      double total = 0;
      std::vector<double> want;
      for (size_t i = 0; i < chunks; ++i) {
        want.push_back(SumOfChunkRef(x.data() + 1 + i * kNormChunk, std::min(kNormChunk, n - i * kNormChunk)));
        total += want.back();
      }
      for (const size_t threads : std::initializer_list<size_t>{1, 2, 3, 4}) {
        ThreadPool pool(threads);
        ExecutionContext exec(pool, 1, 1);
        std::vector<double> sums(chunks);
        SumsOfSquares(x.data() + 1, n, sums, exec);
        EXPECT_EQ(sums, want);
        EXPECT_EQ(AddChunks(sums), total);
      }
    }
  });
}

TEST(SumsOfSquares, AreFiniteWhenEveryElementIs) {
  ForEachSimdTarget([] {
    ThreadPool pool(1);
    ExecutionContext exec(pool, 1, 1);
    std::vector<float> x(37, std::numeric_limits<float>::max());
    double sum = 0;
    SumsOfSquares(x.data(), x.size(), {&sum, 1}, exec);
    EXPECT_TRUE(std::isfinite(sum));
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      for (const size_t place : std::initializer_list<size_t>{0, 20, 36}) {
        auto y = x;
        y[place] = bad;
        SumsOfSquares(y.data(), y.size(), {&sum, 1}, exec);
        EXPECT_FALSE(std::isfinite(sum)) << place;
      }
    }
  });
}

}  // namespace
}  // namespace stablelm
