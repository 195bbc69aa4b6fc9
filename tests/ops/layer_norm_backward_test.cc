#include "ops/layer_norm_backward.h"

#include <algorithm>
#include <initializer_list>
#include <limits>

#include "ops/column_sums.h"
#include "ops/op_testing.h"
#include "ops/ref/layer_norm_backward.h"

namespace stablelm {
namespace {

// sum of a [i] y [i] over the rows' layer norms y: its gradient has dy = a.
double WeightedNorms(const std::vector<double>& x, const std::vector<double>& weight, const std::vector<double>& bias,
                     const std::vector<double>& a, double eps) {
  const size_t width = weight.size();
  double total = 0;
  for (size_t r = 0; r < x.size() / width; ++r) {
    double mean = 0, variance = 0;
    for (size_t i = 0; i < width; ++i) mean += x[r * width + i] / static_cast<double>(width);
    for (size_t i = 0; i < width; ++i) variance += std::pow(x[r * width + i] - mean, 2) / static_cast<double>(width);
    for (size_t i = 0; i < width; ++i) {
      total += a[r * width + i] * ((x[r * width + i] - mean) / std::sqrt(variance + eps) * weight[i] + bias[i]);
    }
  }
  return total;
}

std::vector<double> Wide(const std::vector<float>& values) { return {values.begin(), values.end()}; }

TEST(LayerNormBackward, TheReferenceIsTheSlope) {
  const size_t rows = 3, width = 7;
  auto x = Wide(RandomNormals(rows * width, 61)), weight = Wide(RandomNormals(width, 62));
  auto bias = Wide(RandomNormals(width, 63));
  const auto dy = Wide(RandomNormals(rows * width, 64));
  const double eps = 1e-5;
  std::vector<double> dx(x.size()), d_weight(width, 1.0), d_bias(width, 2.0);
  LayerNormBackwardRef<double>({.x = x.data(),
                                .dy = dy.data(),
                                .rows = rows,
                                .width = width,
                                .weight = weight.data(),
                                .eps = eps,
                                .dx = dx.data(),
                                .d_weight = d_weight.data(),
                                .d_bias = d_bias.data(),
                                .add = true});
  const auto check = [&](std::vector<double>& of, const std::vector<double>& gradient, double before) {
    for (size_t i = 0; i < of.size(); ++i) {
      const double h = 1e-5, at = of[i];
      of[i] = at + h;
      const double above = WeightedNorms(x, weight, bias, dy, eps);
      of[i] = at - h;
      const double slope = (above - WeightedNorms(x, weight, bias, dy, eps)) / (2 * h);
      of[i] = at;
      EXPECT_TRUE(Near(gradient[i] - before, slope, 1e-6 * std::abs(slope) + 1e-9)) << i << ": " << gradient[i];
    }
  };
  check(x, dx, 0);
  check(weight, d_weight, 1);
  check(bias, d_bias, 2);
}

struct NormCase {
  size_t rows, width;
  std::vector<float> x, dy, weight, bias, residual, sums;
  explicit NormCase(size_t rows_, size_t width_)
      : rows(rows_),
        width(width_),
        x(RandomNormals(rows * width + 1, 65)),
        dy(RandomNormals(rows * width + 1, 66)),
        weight(RandomNormals(width + 1, 67)),
        bias(RandomNormals(width + 1, 68)),
        residual(RandomNormals(rows * width + 1, 69)),
        sums(RandomNormals(2 * width, 70)) {
    for (float& v : x) v += 3;  // a mean that is not small against the spread
  }
  LayerNormBackwardInput Input(float* dx, float* d_weight, float* d_bias) const {  // misaligned by one float
    return {.x = x.data() + 1,
            .dy = dy.data() + 1,
            .rows = rows,
            .width = width,
            .norm = {.weight = weight.data() + 1, .bias = bias.data() + 1, .eps = 1e-5},
            .dx = dx,
            .d_weight = d_weight,
            .d_bias = d_bias};
  }
};

TEST(LayerNormBackward, FastBodyHoldsToTheReference) {
  ForEachSimdTarget([] {
    ThreadPool pool(2);
    for (const size_t width : std::initializer_list<size_t>{2, 3, 7, 8, 9, 16, 17, 60, 255, 1024}) {
      for (const size_t rows : std::initializer_list<size_t>{1, 5, 257}) {
        if (rows > 5 && width > 60) continue;
        for (const bool add : {false, true}) {
          SCOPED_TRACE(testing::Message() << rows << " x " << width << ", add " << add);
          const NormCase c(rows, width);
          ExecutionContext exec(pool, rows, std::max(width, LayerNormBackwardFloats(rows, width) / rows + 1));
          GuardedFloats dx(rows * width), d_weight(width), d_bias(width);
          std::copy_n(c.sums.data(), width, d_weight.data());
          std::copy_n(c.sums.data() + width, width, d_bias.data());
          auto in = c.Input(dx.data(), d_weight.data(), d_bias.data());
          in.residual = add ? c.residual.data() + 1 : nullptr;
          in.add = add;
          std::vector<double> x = Wide(c.x), dy = Wide(c.dy), weight = Wide(c.weight), residual = Wide(c.residual);
          std::vector<double> want(rows * width), want_sums = Wide(c.sums);
          LayerNormBackwardRef<double>({.x = x.data() + 1,
                                        .dy = dy.data() + 1,
                                        .rows = rows,
                                        .width = width,
                                        .weight = weight.data() + 1,
                                        .eps = 1e-5,
                                        .residual = add ? residual.data() + 1 : nullptr,
                                        .dx = want.data(),
                                        .d_weight = want_sums.data(),
                                        .d_bias = want_sums.data() + width,
                                        .add = add});
          LayerNormBackward(in, exec);
          dx.Check();
          d_weight.Check();
          d_bias.Check();
          const double n = static_cast<double>(width);
          // By columns: the sum of the sizes of what is added, and of their errors.
          std::vector<double> size_weight(width), size_bias(width), error_weight(width);
          for (size_t r = 0; r < rows; ++r) {
            double mean = 0, variance = 0, largest_x = 0, g_size = 0, g_normed_size = 0;
            for (size_t i = 0; i < width; ++i) mean += x[1 + r * width + i] / n;
            for (size_t i = 0; i < width; ++i) variance += std::pow(x[1 + r * width + i] - mean, 2) / n;
            for (size_t i = 0; i < width; ++i) largest_x = std::max(largest_x, std::abs(x[1 + r * width + i]));
            const double scale = 1 / std::sqrt(variance + 1e-5);
            // The mean is a sum of `width` values in fp32, in at most width + 4 additions: it is off by that many eps
            // of the mean size. A normed value is off by that, by its difference's and by its scale's roundings: a
            // variance of `width` squares, each off by twice the error of its difference (a sum of which vanishes).
            const double shift = (n + 4) * kEps * largest_x;
            const double squares = (n + 8) * kEps + scale * scale * shift * shift;
            const auto normed_error = [&](double normed) {
              return scale * (shift + kEps * 2 * largest_x) + std::abs(normed) * (squares + 3 * kEps);
            };
            double error_g = 0, error_g_normed = 0;
            for (size_t i = 0; i < width; ++i) {
              const double normed = (x[1 + r * width + i] - mean) * scale;
              const double d = std::abs(dy[1 + r * width + i]), g = d * std::abs(weight[1 + i]);
              g_size += g / n;
              g_normed_size += g * std::abs(normed) / n;
              error_g += g * (n + 6) * kEps / n;
              error_g_normed += g * (normed_error(normed) + std::abs(normed) * (n + 6) * kEps) / n;
              size_weight[i] += d * std::abs(normed);
              size_bias[i] += d;
              error_weight[i] += d * (normed_error(normed) + kEps * std::abs(normed));
            }
            for (size_t i = 0; i < width; ++i) {
              const double normed = std::abs(x[1 + r * width + i] - mean) * scale;
              const double g = std::abs(dy[1 + r * width + i] * weight[1 + i]);
              const double parts = g + g_size + normed * g_normed_size;
              const double inner =
                  error_g + normed * error_g_normed + normed_error(normed) * g_normed_size + 4 * kEps * parts;
              const double bound = scale * (inner + (squares + 3 * kEps) * parts) +
                                   kEps * std::abs(want[r * width + i]) + kEps * std::abs(residual[1 + r * width + i]);
              ASSERT_TRUE(Near(dx.data()[r * width + i], want[r * width + i], bound))
                  << r << ", " << i << ": " << dx.data()[r * width + i] << " " << want[r * width + i];
            }
          }
          for (size_t i = 0; i < width; ++i) {  // at most rows + 2 additions
            const double additions = (static_cast<double>(rows) + 2) * kEps;
            const double weight_bound = error_weight[i] + additions * (size_weight[i] + std::abs(double{c.sums[i]}));
            ASSERT_TRUE(Near(d_weight.data()[i], want_sums[i], weight_bound)) << i;
            const double bias_bound = additions * (size_bias[i] + std::abs(double{c.sums[width + i]}));
            ASSERT_TRUE(Near(d_bias.data()[i], want_sums[width + i], bias_bound)) << i;
          }
        }
      }
    }
  });
}

// Rows alone and together, dx in the place of dy or of the residual, sums wanted or not, and any number of threads.
TEST(LayerNormBackward, BitsOfARowDependOnThatRowAlone) {
  ForEachSimdTarget([] {
    const NormCase c(600, 37);
    std::vector<float> dx(c.rows * c.width), d_weight(c.width), d_bias(c.width), alone(dx.size());
    for (const size_t threads : std::initializer_list<size_t>{1, 2, 3, 4}) {
      ThreadPool pool(threads);
      ExecutionContext exec(pool, c.rows, c.width);
      std::vector<float> in_place(c.dy), d_weight_now(c.width), d_bias_now(c.width), onto(c.residual);
      auto in = c.Input(in_place.data() + 1, d_weight_now.data(), d_bias_now.data());
      in.dy = in_place.data() + 1;
      in.residual = c.residual.data() + 1;
      LayerNormBackward(in, exec);
      if (threads == 1) {
        dx.assign(in_place.begin() + 1, in_place.end());
        d_weight = d_weight_now;
        d_bias = d_bias_now;
        for (size_t r = 0; r < c.rows; ++r) {
          auto row = c.Input(alone.data() + r * c.width, nullptr, nullptr);
          row.x += r * c.width;
          row.dy += r * c.width;
          row.residual = c.residual.data() + 1 + r * c.width;
          row.rows = 1;
          LayerNormBackward(row, exec);
        }
        EXPECT_EQ(alone, dx);
        // d_bias is the sum over the rows of dy, in pieces.
        std::vector<float> sums(c.width);
        for (size_t begin = 0; begin < c.rows; begin += kNormSumPiece) {
          std::vector<float> piece(c.width);
          ColumnSums({.x = c.dy.data() + 1 + begin * c.width,
                      .rows = std::min(kNormSumPiece, c.rows - begin),
                      .width = c.width,
                      .sums = piece.data()},
                     exec);
          for (size_t i = 0; i < c.width; ++i) sums[i] += piece[i];
        }
        EXPECT_EQ(d_bias, sums);
      }
      EXPECT_EQ(std::vector<float>(in_place.begin() + 1, in_place.end()), dx) << threads;
      EXPECT_EQ(d_weight_now, d_weight) << threads;
      EXPECT_EQ(d_bias_now, d_bias) << threads;
      in = c.Input(onto.data() + 1, nullptr, nullptr);
      in.residual = onto.data() + 1;
      LayerNormBackward(in, exec);
      EXPECT_EQ(std::vector<float>(onto.begin() + 1, onto.end()), dx) << threads;
    }
  });
}

TEST(LayerNormBackward, OfNoRowsIsZero) {
  ThreadPool pool(3);
  ExecutionContext exec(pool, 1, 1);
  const NormCase c(0, 19);
  std::vector<float> d_weight(19, 1.0f), d_bias(19, 1.0f);
  auto in = c.Input(nullptr, d_weight.data(), d_bias.data());
  in.add = true;
  LayerNormBackward(in, exec);
  EXPECT_EQ(d_weight, std::vector<float>(19, 1.0f));
  in.add = false;
  LayerNormBackward(in, exec);
  EXPECT_EQ(d_weight, std::vector<float>(19));
  EXPECT_EQ(d_bias, std::vector<float>(19));
}

TEST(LayerNormBackward, NanIsNotHidden) {
  ForEachSimdTarget([] {
    ThreadPool pool(1);
    for (const size_t place : std::initializer_list<size_t>{0, 18}) {
      const NormCase c(2, 19);
      ExecutionContext exec(pool, 2, 64);
      auto dy = c.dy;
      dy[1 + place] = std::numeric_limits<float>::quiet_NaN();
      std::vector<float> dx(2 * 19), d_weight(19), d_bias(19);
      auto in = c.Input(dx.data(), d_weight.data(), d_bias.data());
      in.dy = dy.data() + 1;
      LayerNormBackward(in, exec);
      for (size_t i = 0; i < 19; ++i) {
        EXPECT_TRUE(std::isnan(dx[i]));
        EXPECT_TRUE(std::isfinite(dx[19 + i]));
      }
      EXPECT_TRUE(std::isnan(d_weight[place]) && std::isnan(d_bias[place]));
    }
  });
}

TEST(ColumnSums, HaveTheBitsOfTheOrder) {
  for (const size_t rows : std::initializer_list<size_t>{0, 1, 7, 8, 255, 256, 257, 600}) {
    for (const size_t width : std::initializer_list<size_t>{1, 3, 16, 17, 63, 130, 4099}) {
      if (rows > 300 && width > 1000) continue;
      SCOPED_TRACE(testing::Message() << rows << " x " << width);
      const auto x = RandomNormals(rows * width + 1, 71);
      const auto before = RandomNormals(width, 72);
      for (const bool add : {false, true}) {
        std::vector<float> want(width);
        for (size_t c = 0; c < width; ++c) {
          float total = add ? before[c] : 0;
          for (size_t begin = 0; begin < rows; begin += kColumnSumPiece) {
            float piece = 0;
            for (size_t r = begin; r < std::min(begin + kColumnSumPiece, rows); ++r) piece += x[1 + r * width + c];
            total += piece;
          }
          want[c] = total;
        }
        for (const size_t threads : std::initializer_list<size_t>{1, 2, 3, 4}) {
          ThreadPool pool(threads);
          ExecutionContext exec(pool, 1, 1);
          GuardedFloats sums(width);
          std::copy(before.begin(), before.end(), sums.data());
          ColumnSums({.x = x.data() + 1, .rows = rows, .width = width, .sums = sums.data(), .add = add}, exec);
          sums.Check();
          ASSERT_EQ(std::memcmp(sums.data(), want.data(), width * sizeof(float)), 0) << threads;
        }
      }
    }
  }
}

// y = x + bias for every row: linear, so that a central difference is the derivative, but for rounding.
TEST(ColumnSums, AreTheDerivativeOfABias) {
  constexpr size_t kRows = 300, kWidth = 19;
  const auto x = RandomNormals(kRows * kWidth, 81), dy = RandomNormals(kRows * kWidth, 82);
  auto bias = RandomNormals(kWidth, 83);
  const auto loss = [&] {
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      sum += (static_cast<double>(x[i]) + static_cast<double>(bias[i % kWidth])) * static_cast<double>(dy[i]);
    }
    return sum;
  };
  ThreadPool pool(2);
  ExecutionContext exec(pool, 1, 1);
  std::vector<float> sums(kWidth);
  ColumnSums({.x = dy.data(), .rows = kRows, .width = kWidth, .sums = sums.data()}, exec);
  for (size_t c = 0; c < kWidth; ++c) {
    const float saved = bias[c];
    bias[c] = saved + 0.5f;
    const double above = loss(), high = static_cast<double>(bias[c]);
    bias[c] = saved - 0.5f;
    const double derivative = (above - loss()) / (high - static_cast<double>(bias[c]));
    bias[c] = saved;
    double magnitude = 0;
    for (size_t r = 0; r < kRows; ++r) magnitude += std::abs(static_cast<double>(dy[r * kWidth + c]));
    EXPECT_NEAR(sums[c], derivative, 1e-6 * magnitude) << c;
  }
}

}  // namespace
}  // namespace stablelm
