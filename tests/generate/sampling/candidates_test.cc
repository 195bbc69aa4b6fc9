// The fast filters against the plain ones: the same tokens remain, and the same one is sampled.
#include "generate/sampling/candidates.h"

#include <algorithm>
#include <numeric>

#include "generate/sampling/logits_filters.h"
#include "generate/sampling/row_testing.h"
#include "generate/sampling/top_selection.h"
#include "ops/scores/score_row.h"

namespace stablelm {
namespace {

TEST(SelectTop, EqualsASort) {
  const Philox random(51);
  RankedCutFinder finder(50688);
  uint64_t stream = 0;
  for (const size_t n : {size_t{1}, size_t{9}, size_t{300}, size_t{5000}, size_t{50688}}) {
    for (const size_t k : {size_t{1}, size_t{2}, size_t{50}, size_t{1000}, size_t{50000}, size_t{60000}}) {
      for (const RowShape& shape : {RowShape{3, 20, 5}, RowShape{3, 100, 90}, RowShape{0, 0, 0}}) {
        SCOPED_TRACE(testing::Message() << n << " " << k << " stream " << stream);
        const std::vector<float> row = RandomRow(n, shape, random, stream++);
        std::vector<float> sorted = row;
        std::sort(sorted.begin(), sorted.end(), std::greater<>());
        const float least = k <= n ? sorted[k - 1] : -kInf;
        std::vector<int32_t> ids(n + kCollectPadding);
        std::vector<float> values(n + kCollectPadding);
        const size_t count = SelectTop(row.data(), n, k, ids.data(), values.data(), finder);
        size_t at = 0;
        for (size_t i = 0; i < n; ++i) {
          if (row[i] == -kInf || row[i] < least) continue;
          ASSERT_LT(at, count);
          ASSERT_EQ(ids[at], static_cast<int32_t>(i));
          ASSERT_EQ(values[at++], row[i]);
        }
        ASSERT_EQ(at, count);
      }
    }
  }
}

TEST(RankedCut, EqualsASort) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const Philox random(seed);
  RankedCutFinder finder(50688);
  uint64_t stream = 0;
  for (const size_t n : {size_t{1}, size_t{9}, size_t{128}, size_t{129}, size_t{3000}, size_t{50688}}) {
    // Normal, nearly equal, full of ties, all equal, one outlier far below, a range wider than any float, and nested
    // clusters that bins of equal width cannot separate.
    for (int kind = 0; kind < 7; ++kind) {
      std::vector<float> row = RandomRow(n, {3, kind == 2 ? 100 : 0, kind == 2 ? 30 : 5}, random, stream++);
      for (size_t i = 0; i < n; ++i) {
        if (kind == 1) row[i] = 1000 + row[i] * 1e-4f;
        if (kind == 3 && row[i] != -kInf) row[i] = 2;
        if (kind == 6 && row[i] != -kInf) row[i] = -std::exp2(static_cast<float>(i % 240) - 120) * (1 + row[i] / 64);
      }
      if (kind == 4) row[n / 3] = -1e30f;
      if (kind == 5) row[n / 3] = -3e38f, row[n / 2] = 3e38f;
      std::vector<float> weights(n);
      const double total = SoftmaxWeights(row.data(), n, MaxOf(row.data(), n), weights.data());
      std::vector<size_t> order(n);
      std::iota(order.begin(), order.end(), size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return row[a] > row[b]; });
      for (const bool weighed : {false, true}) {
        const double all = weighed ? total : static_cast<double>(n);
        for (const double share : {0.0, 0.1, 0.5, 0.95, 0.999999, 1.0, random.Uniform(1000, stream)}) {
          SCOPED_TRACE(testing::Message() << n << " kind " << kind << " weighed " << weighed << " share " << share);
          const double mass = weighed ? share * all : std::floor(share * all);
          size_t rank = 0;
          const auto weight = [&](size_t r) { return weighed ? static_cast<double>(weights[order[r]]) : 1.0; };
          for (double sum = weight(0); sum < mass; sum += weight(rank)) ASSERT_LT(++rank, n);
          const RankedCut cut = finder.Find(row.data(), weighed ? weights.data() : nullptr, n, mass);
          ASSERT_EQ(cut.place, order[rank]);
          ASSERT_EQ(cut.score, row[order[rank]]);
        }
      }
    }
  }
}

// Steps in any order, on all kinds of rows: flat, peaked, full of ties, nearly empty.
TEST(Candidates, KeepAndDrawWhatThePlainFiltersDo) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const Philox random(seed);
  int partial = 0;
  for (uint64_t round = 0; round < 2000; ++round) {
    uint64_t next = 0;
    const auto uniform = [&] { return random.Uniform(1'000'000 + round, next++); };
    const size_t n = static_cast<size_t>(round % 25 == 0 ? 50688 : 1 + 3000 * uniform() * uniform());
    const RowShape shape = {.scale = 8 * uniform() * uniform(),
                            .ties = static_cast<int>(uniform() < 0.3 ? 100 : 30 * uniform()),
                            .removed = static_cast<int>(uniform() < 0.2 ? 99 : 30 * uniform())};
    std::vector<float> plain = RandomRow(n, shape, random, round), fast = plain;
    FilterScratch scratch;
    Candidates candidates(static_cast<int64_t>(n));
    candidates.Take(fast);
    std::string steps = "round " + std::to_string(round) + ", " + std::to_string(n) + " scores:";
    for (int step = 0; step < 4; ++step) {
      switch (static_cast<int>(6 * uniform())) {
        case 0: {
          const double t = uniform() < 0.1 ? 1e-40 : 0.1 + 2 * uniform();
          steps += " temperature " + std::to_string(t);
          ApplyTemperature(plain, t);
          candidates.ApplyTemperature(t);
          break;
        }
        case 1: {
          const int64_t k = 1 + static_cast<int64_t>(2 * static_cast<double>(n) * uniform() * uniform() * uniform());
          steps += " top_k " + std::to_string(k);
          KeepTopK(plain, k, scratch);
          candidates.KeepTopK(k);
          break;
        }
        case 2: {
          const double shares[] = {0.0, 0.25, 0.5, 0.75, 0.9, 0.999999, 1.0, uniform()};
          const double p = shares[static_cast<size_t>(8 * uniform())];
          steps += " top_p " + std::to_string(p);
          KeepTopP(plain, p, scratch);
          candidates.KeepTopP(p);
          break;
        }
        case 3: {
          const double shares[] = {1e-9, 0.05, 0.5, 1.0, uniform() + 1e-12};
          const double p = shares[static_cast<size_t>(5 * uniform())];
          steps += " min_p " + std::to_string(p);
          KeepMinP(plain, p, scratch);
          candidates.KeepMinP(p);
          break;
        }
        case 4: {
          const double bits = uniform() < 0.2 ? std::round(16 * uniform()) : 24 * uniform() * uniform() - 1;
          steps += " mirostat " + std::to_string(bits);
          KeepSurprise(plain, bits, scratch);
          candidates.KeepSurprise(bits);
          break;
        }
        default:
          break;
      }
    }
    SCOPED_TRACE(steps);
    std::vector<int32_t> left;
    for (size_t i = 0; i < n; ++i) {
      if (plain[i] != -kInf) left.push_back(static_cast<int32_t>(i));
    }
    ASSERT_EQ(candidates.Ids(), left);
    partial += left.size() > 1 && left.size() < n;
    Candidates drawn_plainly(static_cast<int64_t>(n));
    drawn_plainly.Take(plain);
    for (const double u : {0.0, 1 - 0x1p-53, uniform(), uniform(), uniform()}) {
      const DrawnToken a = candidates.Draw(u), b = drawn_plainly.Draw(u);
      ASSERT_EQ(a.id, b.id) << u;
      ASSERT_EQ(a.probability, b.probability) << u;
      ASSERT_TRUE(std::binary_search(left.begin(), left.end(), a.id));
    }
  }
  EXPECT_GT(partial, 300);  // enough cases are non-trivial
}

// Sampling inverts the cumulative distribution function.
TEST(Candidates, DrawsByTheSumOfWeights) {
  std::vector<float> row(2000, 0.0f);
  row[0] = -kInf;
  row[1999] = -kInf;
  Candidates candidates(2000);
  candidates.Take(row);
  for (int i = 0; i < 1998; ++i) {
    const DrawnToken token = candidates.Draw((i + 0.5) / 1998);
    ASSERT_EQ(token.id, i + 1);
    ASSERT_EQ(token.probability, 1.0 / 1998);
  }
  EXPECT_EQ(candidates.Draw(0).id, 1);
  EXPECT_EQ(candidates.Draw(1 - 0x1p-53).id, 1998);
}

}  // namespace
}  // namespace stablelm
