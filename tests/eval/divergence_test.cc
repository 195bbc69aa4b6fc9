// KL divergence: known values, nearly equal predictions, extremes, and the reference.
#include "eval/divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ops/random/random_normal.h"

namespace stablelm {
namespace {

// |got - want| <= share |want|, false for NaN.
testing::AssertionResult Near(double got, double want, double share) {
  if (std::abs(got - want) <= share * std::abs(want)) return testing::AssertionSuccess();
  return testing::AssertionFailure() << got << ", expected " << want << ", apart by " << got - want;
}

TEST(Divergence, OfTwoIds) {
  const float x = std::log(3.0f);
  // p = (1/2, 1/2), q = (1, e^x) / (1 + e^x): KL = ln((1 + e^x) / 2) - x / 2, about ln(2 / sqrt(3)).
  const std::vector<float> source = {0, 0}, other = {0, x};
  const TokenDivergence got = CompareLogits(source, other, 1);
  const double wide = x, want = std::log((1 + std::exp(wide)) / 2) - wide / 2;
  EXPECT_TRUE(Near(got.kl, want, 1e-14));
  EXPECT_TRUE(Near(want, 0.14384103622589045, 1e-6));
  EXPECT_TRUE(Near(got.source_log_prob, -std::log(2.0), 1e-15));
  EXPECT_TRUE(Near(got.log_prob, wide - std::log1p(std::exp(wide)), 1e-14));
  // Not symmetric; swapped: p = (1/4, 3/4), q = (1/2, 1/2).
  const double e = std::exp(wide), back = e / (1 + e) * wide - std::log((1 + e) / 2);
  EXPECT_TRUE(Near(CompareLogits(other, source, 0).kl, back, 1e-14));
}

TEST(Divergence, IsZeroForTheSamePredictions) {
  std::vector<float> row(5000), shifted(5000);
  FillNormal(1, 0, 0, 3.0f, row.data(), row.size());
  EXPECT_EQ(CompareLogits(row, row, 7).kl, 0);
  // Shifted logits give the same predictions: quarters stay exact when 64 is added.
  for (float& value : row) value = std::round(value * 4) / 4;
  for (size_t i = 0; i < row.size(); ++i) shifted[i] = row[i] + 64;
  const TokenDivergence got = CompareLogits(row, shifted, 7);
  EXPECT_LT(got.kl, 1e-28);  // (errors of 1e-14 in r) squared
  EXPECT_TRUE(got.same_first);
  EXPECT_TRUE(Near(got.log_prob, got.source_log_prob, 1e-14));
}

TEST(Divergence, KeepsItsDigitsWherePredictionsHardlyDiffer) {
  // n equal logits, one of them raised by d: KL = ln(1 + (e^d - 1) / n) - d / n, from the cumulants of a Bernoulli
  // variable with p = 1 / n: v d^2 / 2 + v (1 - 2/n) d^3 / 6 + O(d^4), with v = (1 - 1/n) / n. A plain sum in fp64 has
  // an error of 1e-16, more than the value itself for the smallest d.
  for (const size_t n : {size_t{2}, size_t{1000}, size_t{50688}}) {
    for (const int power : {10, 16, 20, 26}) {
      const double d = std::ldexp(1.0, -power), inverse = 1.0 / static_cast<double>(n), v = (1 - inverse) * inverse;
      std::vector<float> source(n), other(n);
      other[n / 2] = static_cast<float>(d);
      const double want = v * d * d / 2 + v * (1 - 2 * inverse) * d * d * d / 6;
      // The logarithms of the two sums have errors of at most half a unit of 1.8e-15 each: half the square of that.
      EXPECT_TRUE(Near(CompareLogits(source, other, 0).kl, want, d * d / 6 + 1e-10 + 2e-30 / want)) << n << " " << d;
    }
  }
}

TEST(Divergence, OfPredictionsThatExcludeEachOther) {
  const std::vector<float> one = {1000, -1000, -1000}, two = {-1000, 1000, -1000};
  const TokenDivergence got = CompareLogits(one, two, 0);
  EXPECT_TRUE(Near(got.kl, 2000, 1e-12));
  EXPECT_EQ(got.log_prob, -2000);
  EXPECT_FALSE(got.same_first);
  // A probability that underflows fp64 in either model does not spoil the divergence.
  const std::vector<float> sure = {0, -2000}, even = {0, 0};
  EXPECT_TRUE(Near(CompareLogits(sure, even, 0).kl, std::log(2.0), 1e-14));
  EXPECT_TRUE(Near(CompareLogits(even, sure, 0).kl, 1000 - std::log(2.0), 1e-14));
}

TEST(Divergence, TheFirstOfEqualLogitsIsTheFirstChoice) {
  EXPECT_TRUE(CompareLogits(std::vector<float>{1, 3, 3}, std::vector<float>{0, 5, 5}, 0).same_first);
  EXPECT_FALSE(CompareLogits(std::vector<float>{1, 3, 3}, std::vector<float>{0, 4, 5}, 0).same_first);
  EXPECT_TRUE(CompareLogitsRef(std::vector<float>{1, 3, 3}, std::vector<float>{0, 5, 5}, 0).same_first);
}

TEST(Divergence, IsThePlainDefinition) {
  for (const size_t n : {size_t{1}, size_t{3}, size_t{257}, size_t{50432}}) {
    for (const float noise : {1e-3f, 0.02f, 0.3f, 4.0f}) {
      std::vector<float> source(n), other(n);
      FillNormal(5, n, 0, 4.0f, source.data(), n);
      FillNormal(6, n, 0, noise, other.data(), n);
      for (size_t i = 0; i < n; ++i) other[i] += source[i];
      const auto target = static_cast<int32_t>(n / 2);
      const TokenDivergence got = CompareLogits(source, other, target), want = CompareLogitsRef(source, other, target);
      // The reference sums terms p r of both signs with a 64-bit mantissa: its error is n 2^-64 of sum p |r|, at most
      // 1e-14 of noise; the divergence is about noise^2 / 2.
      EXPECT_TRUE(Near(got.kl, want.kl, n == 1 ? 0 : 1e-10)) << n << " " << noise;
      EXPECT_TRUE(Near(got.source_log_prob, want.source_log_prob, 1e-13));
      EXPECT_TRUE(Near(got.log_prob, want.log_prob, 1e-13));
      EXPECT_EQ(got.same_first, want.same_first);
    }
  }
}

}  // namespace
}  // namespace stablelm
