#include "ops/cross_entropy.h"

#include <initializer_list>
#include <limits>

#include "ops/op_testing.h"
#include "ops/ref/cross_entropy.h"
#include "ops/scores/softmax.h"

namespace stablelm {
namespace {

std::vector<int32_t> TargetsOf(int64_t rows, int64_t vocab_size) {
  std::vector<int32_t> targets(static_cast<size_t>(rows));
  for (int64_t r = 0; r < rows; ++r) targets[static_cast<size_t>(r)] = static_cast<int32_t>((r * 7 + 3) % vocab_size);
  return targets;
}

TEST(CrossEntropy, TheReferenceIsTheSlope) {
  const int64_t rows = 3, vocab_size = 11;
  const auto values = RandomNormals(static_cast<size_t>(rows * vocab_size), 51, 2);
  std::vector<double> z(values.begin(), values.end()), gradient(z.size()), losses(3);
  const auto targets = TargetsOf(rows, vocab_size);
  const double scale = 0.3;
  CrossEntropyRef(z.data(), targets.data(), rows, vocab_size, scale, losses.data(), gradient.data());
  const auto total = [&] {
    CrossEntropyRef<double>(z.data(), targets.data(), rows, vocab_size, scale, losses.data(), nullptr);
    return scale * (losses[0] + losses[1] + losses[2]);
  };
  for (size_t i = 0; i < z.size(); ++i) {
    const double h = 1e-5, at = z[i];
    z[i] = at + h;
    const double above = total();
    z[i] = at - h;
    const double slope = (above - total()) / (2 * h);
    z[i] = at;
    EXPECT_TRUE(Near(gradient[i], slope, 1e-6 * std::abs(slope) + 1e-10)) << i << ": " << gradient[i] << " " << slope;
  }
}

TEST(CrossEntropy, FastBodyHoldsToTheReference) {
  ForEachSimdTarget([] {
    ThreadPool pool(2);
    ExecutionContext exec(pool, 1, 1);
    for (const int64_t vocab_size : {1, 2, 7, 8, 9, 16, 17, 33, 515, 5003}) {
      for (const double spread : {0.5, 12.0}) {
        SCOPED_TRACE(testing::Message() << vocab_size << ", spread " << spread);
        const int64_t rows = 3;
        const double scale = 0.37;
        auto values = RandomNormals(static_cast<size_t>(rows * vocab_size), 52, spread);
        for (float& v : values) v += 40;  // logits need not be centred
        const auto targets = TargetsOf(rows, vocab_size);
        GuardedFloats z(values.size());
        std::copy(values.begin(), values.end(), z.data());
        std::vector<double> losses(3), losses_alone(3), want_losses(3);
        CrossEntropyInput in = {.logits = z.data(),
                                .targets = targets.data(),
                                .rows = rows,
                                .vocab_size = vocab_size,
                                .scale = scale,
                                .losses = losses_alone.data()};
        CrossEntropyLosses(in, exec);
        EXPECT_EQ(std::memcmp(z.data(), values.data(), values.size() * sizeof(float)), 0);
        in.losses = losses.data();
        CrossEntropy(in, exec);
        z.Check();
        CrossEntropyRef<float>(values.data(), targets.data(), rows, vocab_size, scale, want_losses.data(), nullptr);
        EXPECT_EQ(losses, losses_alone);
        for (size_t r = 0; r < 3; ++r) {
          const size_t n = static_cast<size_t>(vocab_size);
          const float* const row = values.data() + r * n;
          EXPECT_EQ(losses[r], LogSumExp(row, n) - static_cast<double>(row[targets[r]]));  // the bits of scoring
          // The log-sum's error, as in the test of LogSumExp.
          EXPECT_TRUE(Near(losses[r], want_losses[r], 70 * kEps));
          for (size_t i = 0; i < n; ++i) {
            // From the log-sum of the loss: exp's argument has two roundings of |z - lse|, which the probability
            // shrinks, d exp(-d) <= 0.37; exp and the product round 4 times.
            const double log_sum = losses[r] + static_cast<double>(row[targets[r]]);
            const double p = std::exp(static_cast<double>(row[i]) - log_sum);
            const double want = scale * (i == static_cast<size_t>(targets[r]) ? p - 1 : p);
            const double bound = scale * (4 * p + 2 * 0.37) * kEps + 0x1p-126;
            ASSERT_TRUE(Near(z.data()[r * n + i], want, bound))
                << r << ", " << i << ": " << z.data()[r * n + i] << " " << want;
          }
        }
      }
    }
  });
}

TEST(CrossEntropy, BitsOfARowDependOnThatRowAlone) {
  const int64_t rows = 13, vocab_size = 131;
  const size_t n = static_cast<size_t>(vocab_size);
  const auto values = RandomNormals(static_cast<size_t>(rows) * n, 53, 3);
  const auto targets = TargetsOf(rows, vocab_size);
  ForEachSimdTarget([&] {
    std::vector<float> alone = values;
    std::vector<double> losses_alone(static_cast<size_t>(rows));
    ThreadPool one(1);
    ExecutionContext one_thread(one, 1, 1);
    for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
      CrossEntropy({.logits = alone.data() + r * n,
                    .targets = targets.data() + r,
                    .rows = 1,
                    .vocab_size = vocab_size,
                    .losses = losses_alone.data() + r},
                   one_thread);
    }
    for (const size_t threads : std::initializer_list<size_t>{1, 2, 3, 4}) {
      ThreadPool pool(threads);
      ExecutionContext exec(pool, 1, 1);
      std::vector<float> z = values;
      std::vector<double> losses(static_cast<size_t>(rows));
      CrossEntropy({.logits = z.data(),
                    .targets = targets.data(),
                    .rows = rows,
                    .vocab_size = vocab_size,
                    .losses = losses.data()},
                   exec);
      EXPECT_EQ(z, alone) << threads;
      EXPECT_EQ(losses, losses_alone) << threads;
    }
  });
}

TEST(CrossEntropy, TakesNoRows) {
  ThreadPool pool(3);
  ExecutionContext exec(pool, 1, 1);
  CrossEntropy({.rows = 0, .vocab_size = 37}, exec);
  CrossEntropyLosses({.rows = 0, .vocab_size = 37}, exec);
}

TEST(CrossEntropy, ShowsLogitsThatAreNotFinite) {
  ForEachSimdTarget([] {
    ThreadPool pool(1);
    ExecutionContext exec(pool, 1, 1);
    const float inf = std::numeric_limits<float>::infinity();
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), inf, -inf}) {
      for (const size_t place : std::initializer_list<size_t>{0, 5, 36}) {
        auto z = RandomNormals(2 * 37, 54);
        z[place] = bad;
        const int32_t targets[2] = {5, 5};
        double losses[2];
        CrossEntropy({.logits = z.data(), .targets = targets, .rows = 2, .vocab_size = 37, .losses = losses}, exec);
        EXPECT_FALSE(std::isfinite(losses[0]));
        EXPECT_TRUE(std::isfinite(losses[1]));
        for (size_t i = 0; i < 37; ++i) {
          EXPECT_FALSE(std::isfinite(z[i]));
          EXPECT_TRUE(std::isfinite(z[37 + i]));
        }
      }
    }
  });
}

}  // namespace
}  // namespace stablelm
