// The passes over a row of scores against plain loops, on every target, around the vector width.
#include "ops/scores/score_row.h"

#include <algorithm>
#include <limits>

#include "ops/op_testing.h"

namespace stablelm {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const std::vector<size_t> kLengths = {1, 2, 3, 7, 15, 16, 17, 31, 33, 63, 64, 65, 257, 515, 50688};

// Normal samples with ties and removed entries.
std::vector<float> Row(size_t n, uint64_t seed, double scale = 4) {
  std::vector<float> x = RandomNormals(n, seed, scale);
  for (size_t i = 0; i < n; ++i) {
    if (i % 3 == 1) x[i] = std::round(x[i] * 4) / 4;
    if (i % 11 == 5) x[i] = -kInf;
  }
  return x;
}

TEST(ScoreRow, MaximumFirstPlaceAndDivision) {
  ForEachSimdTarget([] {
    for (const size_t n : kLengths) {
      SCOPED_TRACE(n);
      for (size_t at = 0; at < n; at += 1 + n / 7) {
        std::vector<float> x = Row(n, 21);
        x[at] = 100;
        if (at + 9 < n) x[at + 9] = 100;
        EXPECT_EQ(MaxOf(x.data(), n), 100);
        EXPECT_EQ(FirstEqual(x.data(), n, 100), at);
        EXPECT_EQ(FirstEqual(x.data(), n, 101), n);
      }
      std::vector<float> x(n, -kInf);
      EXPECT_EQ(MaxOf(x.data(), n), -kInf);
      GuardedFloats divided(n);
      x = Row(n, 22);
      std::copy(x.begin(), x.end(), divided.data());
      DivideInPlace(divided.data(), n, 0.7f);
      divided.Check();
      for (size_t i = 0; i < n; ++i) ASSERT_EQ(divided.span()[i], x[i] / 0.7f) << i;
    }
  });
}

TEST(ScoreRow, FindsWhatIsNoScore) {
  ForEachSimdTarget([] {
    for (const size_t n : kLengths) {
      for (size_t at = 0; at < n; at += 1 + n / 7) {
        std::vector<float> x = Row(n, 23);
        x[at] = std::numeric_limits<float>::lowest();
        EXPECT_TRUE(IsScoreRow(x.data(), n));
        x[at] = std::numeric_limits<float>::quiet_NaN();
        EXPECT_FALSE(IsScoreRow(x.data(), n)) << n << " " << at;
        x[at] = kInf;
        EXPECT_FALSE(IsScoreRow(x.data(), n)) << n << " " << at;
      }
    }
  });
}

TEST(ScoreRow, ColumnMaximaBoundTheKthLargest) {
  ForEachSimdTarget([] {
    for (const size_t n : kLengths) {
      for (const size_t columns : {size_t{1}, size_t{5}, size_t{16}, size_t{200}}) {
        if (columns > n) continue;
        SCOPED_TRACE(testing::Message() << n << " " << columns);
        const std::vector<float> x = Row(n, 24);
        GuardedFloats maxima(columns);
        ColumnMaxima(x.data(), n, columns, maxima.data());
        maxima.Check();
        std::vector<float> want(columns, -kInf);
        for (size_t i = 0; i < n; ++i) want[i % columns] = std::max(want[i % columns], x[i]);
        for (size_t j = 0; j < columns; ++j) ASSERT_EQ(maxima.span()[j], want[j]);
      }
    }
  });
}

TEST(ScoreRow, CollectsPlacesAndValues) {
  ForEachSimdTarget([] {
    for (const size_t n : kLengths) {
      const std::vector<float> x = Row(n, 25);
      for (const float least : {-kInf, std::numeric_limits<float>::lowest(), -1.0f, 0.25f, 6.0f, 1000.0f}) {
        SCOPED_TRACE(testing::Message() << n << " " << least);
        std::vector<int32_t> ids(n + kCollectPadding), want_ids;
        std::vector<float> values(n + kCollectPadding), want;
        for (size_t i = 0; i < n; ++i) {
          if (x[i] < least) continue;
          want_ids.push_back(static_cast<int32_t>(i));
          want.push_back(x[i]);
        }
        const size_t count = CollectAtLeast(x.data(), n, least, ids.data(), values.data());
        ids.resize(count);
        values.resize(count);
        EXPECT_EQ(ids, want_ids);
        EXPECT_EQ(values, want);
      }
    }
  });
}

TEST(ScoreRow, LowestAndCounts) {
  ForEachSimdTarget([] {
    for (const size_t n : kLengths) {
      SCOPED_TRACE(n);
      std::vector<float> x = Row(n, 28);
      float lowest = kInf;
      for (const float v : x) {
        if (v != -kInf) lowest = std::min(lowest, v);
      }
      EXPECT_EQ(LowestOf(x.data(), n), lowest);
      for (const float least : {-kInf, std::numeric_limits<float>::lowest(), 0.25f, 1000.0f}) {
        EXPECT_EQ(CountAtLeast(x.data(), n, least),
                  static_cast<size_t>(std::count_if(x.begin(), x.end(), [&](float v) { return v >= least; })));
      }
      for (size_t at = 0; at < n; at += 1 + n / 7) {
        x[at] = -100;
        EXPECT_EQ(LowestOf(x.data(), n), -100) << at;
        x[at] = -kInf;
      }
      std::fill(x.begin(), x.end(), -kInf);
      EXPECT_EQ(LowestOf(x.data(), n), kInf);
    }
  });
}

TEST(ScoreRow, BinsFallWithTheScores) {
  ForEachSimdTarget([] {
    for (const size_t n : kLengths) {
      for (const float per_unit : {0.01f, 1.0f, 37.5f, 1e30f}) {
        SCOPED_TRACE(testing::Message() << n << " " << per_unit);
        const std::vector<float> x = Row(n, 29);
        const float max = std::max(MaxOf(x.data(), n), 0.0f);
        std::vector<int32_t> bins(n + 1, -7), indices(n + kCollectPadding), want;
        BinsBelow(x.data(), n, max, per_unit, 99, bins.data());
        ASSERT_EQ(bins[n], -7);
        for (size_t i = 0; i < n; ++i) {
          ASSERT_EQ(bins[i], static_cast<int32_t>(std::min((max - x[i]) * per_unit, 99.0f))) << i;
          if (bins[i] == 99) want.push_back(static_cast<int32_t>(i));
        }
        indices.resize(IndicesOf(bins.data(), n, 99, indices.data()));
        EXPECT_EQ(indices, want);
      }
    }
  });
}

TEST(ScoreRow, RemovesBelowAKey) {
  ForEachSimdTarget([] {
    for (const size_t n : kLengths) {
      for (const bool by_weight : {false, true}) {
        SCOPED_TRACE(testing::Message() << n << " " << by_weight);
        const std::vector<float> row = Row(n, 30);
        std::vector<float> before(n);
        SoftmaxWeights(row.data(), n, std::max(MaxOf(row.data(), n), 0.0f), before.data());
        GuardedFloats x(n), weights(n);
        std::copy(row.begin(), row.end(), x.data());
        std::copy(before.begin(), before.end(), weights.data());
        const float least = by_weight ? 0.001f : -0.25f;
        const double left = RemoveBelow(by_weight ? weights.data() : x.data(), n, least, x.data(), weights.data());
        x.Check();
        weights.Check();
        double sum = 0;
        for (size_t i = 0; i < n; ++i) {
          const bool kept = (by_weight ? before[i] : row[i]) >= least;
          ASSERT_EQ(x.span()[i], kept ? row[i] : -kInf) << i;
          ASSERT_EQ(weights.span()[i], kept ? before[i] : 0) << i;
          if (kept) sum += static_cast<double>(before[i]);
        }
        EXPECT_EQ(left, sum);
      }
    }
  });
}

TEST(ScoreRow, SoftmaxWeightsHoldToTheReference) {
  ForEachSimdTarget([] {
    for (const size_t n : kLengths) {
      for (const double scale : {0.5, 4.0, 12.0}) {
        SCOPED_TRACE(testing::Message() << n << " " << scale);
        std::vector<float> x = Row(n, 26, scale);
        x[n / 2] = 1;
        const float max = MaxOf(x.data(), n);
        GuardedFloats weights(n);
        std::vector<float> want(n);
        const double total = SoftmaxWeights(x.data(), n, max, weights.data());
        const double want_total = SoftmaxWeightsRef(x.data(), n, max, want.data());
        weights.Check();
        double bounds = 0, sum = 0;
        for (size_t i = 0; i < n; ++i) {
          // The difference x - max is rounded by |d| eps, exp adds about 4 ulp, that is 8 eps; the grid rounds the two
          // sides by half a step each.
          const double d = static_cast<double>(max) - static_cast<double>(x[i]);
          const double bound = (std::isinf(d) ? 0 : (d + 8) * kEps * std::exp(-d)) + kWeightStep;
          const double w = static_cast<double>(weights.span()[i]);
          ASSERT_TRUE(Near(w, want[i], bound)) << i << ": " << w << " " << want[i];
          ASSERT_EQ(std::fmod(w, kWeightStep), 0) << i;
          if (x[i] == max) {
            ASSERT_EQ(w, 1) << i;
          }
          if (x[i] == -kInf) {
            ASSERT_EQ(w, 0) << i;
          }
          bounds += bound;
          sum += w;
        }
        EXPECT_TRUE(Near(total, want_total, bounds));
        EXPECT_EQ(total, sum);  // exact, in any order
        EXPECT_EQ(SumOfWeights(weights.data(), n), sum);
      }
    }
    EXPECT_EQ(SumOfWeights(nullptr, 0), 0);
  });
}

// The same score gives the same bits at any index, and a lower score never gives a higher weight by more than the last
// bit; leaving out entries of weight 0 does not change the sum.
TEST(ScoreRow, AWeightDependsOnItsScoreAlone) {
  ForEachSimdTarget([] {
    const std::vector<float> x = Row(1031, 27);
    const float max = MaxOf(x.data(), x.size());
    std::vector<float> whole(x.size());
    const double total = SoftmaxWeights(x.data(), x.size(), max, whole.data());
    for (size_t i = 0; i < x.size(); ++i) {
      float alone = -1;
      SoftmaxWeights(&x[i], 1, max, &alone);
      ASSERT_EQ(alone, whole[i]) << i;
    }
    std::vector<float> some, weights(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      if (whole[i] > 0) some.push_back(x[i]);
    }
    EXPECT_LT(some.size(), x.size());
    EXPECT_EQ(SoftmaxWeights(some.data(), some.size(), max, weights.data()), total);
  });
}

}  // namespace
}  // namespace stablelm
