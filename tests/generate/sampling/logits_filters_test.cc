// The plain filters against results of transformers and by hand.
#include "generate/sampling/logits_filters.h"

#include <numeric>

#include "generate/sampling/row_testing.h"

namespace stablelm {
namespace {

using Row = std::vector<float>;
using Indices = std::vector<int>;

Row Logs(std::initializer_list<double> probabilities) {
  Row row;
  for (const double p : probabilities) row.push_back(static_cast<float>(std::log(p)));  // log 0 is -inf
  return row;
}

template <typename F>
Indices KeptBy(Row row, const F& filter) {
  FilterScratch scratch;
  const Row before = row;
  filter(std::span<float>(row), scratch);
  for (size_t i = 0; i < row.size(); ++i) EXPECT_TRUE(row[i] == before[i] || row[i] == -kInf) << i;
  return Kept(row);
}
Indices TopK(const Row& row, int64_t k) {
  return KeptBy(row, [&](std::span<float> s, FilterScratch& f) { KeepTopK(s, k, f); });
}
Indices TopP(const Row& row, double p) {
  return KeptBy(row, [&](std::span<float> s, FilterScratch& f) { KeepTopP(s, p, f); });
}
Indices MinP(const Row& row, double p) {
  return KeptBy(row, [&](std::span<float> s, FilterScratch& f) { KeepMinP(s, p, f); });
}
Indices Typical(const Row& row, double p) {
  return KeptBy(row, [&](std::span<float> s, FilterScratch& f) { KeepTypicalP(s, p, f); });
}

TEST(Filters, EqualTransformers) {
  int checked = 0;
  for (const ReferenceCase& c : ReferenceCases(nullptr)) {
    SCOPED_TRACE(c.name);
    Row got = c.input;
    FilterScratch scratch;
    const auto parameter = [&](const char* name) { return c.parameters.at(name).get<double>(); };
    if (c.processor == "temperature") {
      ApplyTemperature(got, parameter("temperature"));
    } else if (c.processor == "top_k") {
      KeepTopK(got, c.parameters.at("top_k"), scratch);
    } else if (c.processor == "top_p") {
      KeepTopP(got, parameter("top_p"), scratch);
    } else if (c.processor == "min_p") {
      KeepMinP(got, parameter("min_p"), scratch);
    } else if (c.processor == "typical_p") {
      KeepTypicalP(got, parameter("typical_p"), scratch);
    } else if (c.processor == "epsilon_cutoff") {
      CutEpsilon(got, parameter("epsilon_cutoff"), scratch);
    } else if (c.processor == "eta_cutoff") {
      CutEta(got, parameter("eta_cutoff"), scratch);
    } else {
      continue;  // processors: logits_processors_test
    }
    ExpectReference(c, got);
    ++checked;
  }
  EXPECT_EQ(checked, 16);
}

TEST(Filters, TopKKeepsTiesWithTheLastOne) {
  EXPECT_EQ(TopK({3, 1, 2, 2, 0, 2, -kInf, 5}, 3), (Indices{0, 2, 3, 5, 7}));
  EXPECT_EQ(TopK({3, 1, 2, 2, 0, 2, -kInf, 5}, 1), (Indices{7}));
  EXPECT_EQ(TopK({3, 1}, 9), (Indices{0, 1}));
  EXPECT_EQ(TopK({-kInf, 1, -kInf, 0}, 3), (Indices{1, 3}));
}

TEST(Filters, TopPRemovesTheTailThatFitsIntoOneMinusP) {
  const Row scores = Logs({0.1, 0.5, 0, 0.25, 0.15});
  EXPECT_EQ(TopP(scores, 0.8), (Indices{1, 3, 4}));  // 0.1 is removed; 0.1 + 0.15 exceeds 0.2
  EXPECT_EQ(TopP(scores, 0.7), (Indices{1, 3}));
  EXPECT_EQ(TopP(scores, 0.0), (Indices{1}));
  EXPECT_EQ(TopP(scores, 1.0), (Indices{0, 1, 3, 4}));
  EXPECT_EQ(TopP({1, 1, 1, 1}, 0.6), (Indices{0, 1, 2}));  // in a tie the highest id is removed first
  EXPECT_EQ(TopP({1, 1, 1, 1}, 0.5), (Indices{0, 1}));     // exactly reached
  EXPECT_EQ(TopP({1, 1, 1, 1}, 0.0), (Indices{0}));
  EXPECT_EQ(TopP({-kInf, 1}, 0.5), (Indices{1}));
}

TEST(Filters, TemperatureComesBeforeTopP) {
  const Row scores = Logs({0.5, 0.3, 0.2});
  EXPECT_EQ(TopP(scores, 0.75), (Indices{0, 1}));
  Row cold = scores;
  ApplyTemperature(cold, 0.5);  // 0.66, 0.24, 0.11
  EXPECT_EQ(TopP(cold, 0.65), (Indices{0}));
  EXPECT_EQ(TopP(scores, 0.65), (Indices{0, 1}));
}

TEST(Filters, ExtremeTemperatures) {
  Row row = {1, 900, -kInf, 899.5f, 900};
  ApplyTemperature(row, 1e-300);
  EXPECT_EQ(row, (Row{-kInf, 0, -kInf, -kInf, 0}));
  row = {-5, -900, -kInf};
  ApplyTemperature(row, 1e-38);
  EXPECT_EQ(row[0], 0);
  EXPECT_EQ(row[1], -kInf);
  row = {4, -2, -kInf};
  ApplyTemperature(row, 1e6);
  EXPECT_EQ(row, (Row{4e-6f, -2e-6f, -kInf}));
}

TEST(Filters, MinP) {
  const Row scores = Logs({0.6, 0.0601, 0, 0.3, 0.0399});
  EXPECT_EQ(MinP(scores, 0.1), (Indices{0, 1, 3}));
  EXPECT_EQ(MinP(scores, 0.4), (Indices{0, 3}));
  EXPECT_EQ(MinP(scores, 1), (Indices{0}));
  EXPECT_EQ(MinP({2, 2, 1}, 1), (Indices{0, 1}));
  EXPECT_EQ(MinP({-kInf, 2}, 1), (Indices{1}));
}

TEST(Filters, TypicalLeavesOutTheTooLikely) {
  // H = 2.72; surprise of the first 1.61, of the others 3.00.
  Row scores(17, std::log(0.05f));
  scores[0] = std::log(0.2f);
  Indices others(16);
  std::iota(others.begin(), others.end(), 1);
  EXPECT_EQ(Typical(scores, 0.5), others);
  EXPECT_EQ(Typical(scores, 0.9).size(), 17u);
  // H = 1.04; |-ln p - H| = 0.35, 0.16, 0.57, 4.95.
  const Row falling = Logs({0.5, 0.3, 0.2, 0.0025});
  EXPECT_EQ(Typical(falling, 0.2), (Indices{1}));
  EXPECT_EQ(Typical(falling, 0.5), (Indices{0, 1}));
  EXPECT_EQ(Typical(falling, 0.9), (Indices{0, 1, 2}));
  EXPECT_EQ(Typical(falling, 0.9999), (Indices{0, 1, 2, 3}));
  EXPECT_EQ(Typical({-kInf, 1}, 0.5), (Indices{1}));
}

// On long rows: the kept tokens are nearest to the entropy and reach the mass, but not without the furthest of them.
TEST(Filters, TypicalKeepsNoMoreThanItNeeds) {
  const Philox random(82);
  for (const double scale : {0.1, 1.0, 4.0}) {
    for (const double mass : {0.05, 0.5, 0.9, 0.999}) {
      SCOPED_TRACE(testing::Message() << scale << " " << mass);
      const Row row = RandomRow(5000, {scale, 20, 5}, random, static_cast<uint64_t>(10 * scale));
      double total = 0, entropy = 0;
      for (const float s : row) total += std::exp(static_cast<double>(s));
      const auto p = [&](size_t i) { return std::exp(static_cast<double>(row[i])) / total; };
      for (size_t i = 0; i < row.size(); ++i) entropy -= p(i) > 0 ? p(i) * std::log(p(i)) : 0;
      const auto distance = [&](size_t i) { return std::abs(-std::log(p(i)) - entropy); };
      const Indices kept = Typical(row, mass);
      double furthest = 0, sum = 0, nearer = 0;
      for (const int i : kept) furthest = std::max(furthest, distance(static_cast<size_t>(i)));
      for (const int i : kept) {
        const size_t place = static_cast<size_t>(i);
        sum += p(place);
        if (distance(place) < furthest - 1e-6) nearer += p(place);
      }
      // Weights are within 1e-6 of their probabilities.
      EXPECT_GE(sum, mass - 1e-6);
      EXPECT_LT(nearer, mass + 1e-6);
      size_t wanted = 0;
      for (size_t i = 0; i < row.size(); ++i) wanted += row[i] > -kInf && distance(i) <= furthest + 1e-6;
      EXPECT_NEAR(static_cast<double>(kept.size()), static_cast<double>(wanted), 2);
    }
  }
}

TEST(Filters, CutoffsKeepTheMostLikely) {
  const Row scores = Logs({0.6, 0.25, 0.1, 0.05, 0});
  const auto epsilon = [&](double e) {
    return KeptBy(scores, [&](std::span<float> s, FilterScratch& f) { CutEpsilon(s, e, f); });
  };
  EXPECT_EQ(epsilon(0.08), (Indices{0, 1, 2}));
  EXPECT_EQ(epsilon(0.99), (Indices{0}));
  // H = 1.033: eta = min(e, sqrt(e) 0.356).
  const auto eta = [&](double e) {
    return KeptBy(scores, [&](std::span<float> s, FilterScratch& f) { CutEta(s, e, f); });
  };
  EXPECT_EQ(eta(0.06), (Indices{0, 1, 2}));  // 0.06
  EXPECT_EQ(eta(0.16), (Indices{0, 1}));     // 0.142
  EXPECT_EQ(eta(0.9), (Indices{0}));         // 0.338
}

TEST(Filters, TopNSigma) {
  // Mean 2, deviation sqrt(2): at least 4 - n sqrt(2).
  const Row scores = {0, 1, 2, 3, 4, -kInf};
  const auto kept = [&](double n) {
    return KeptBy(scores, [&](std::span<float> s, FilterScratch&) { KeepTopNSigma(s, n); });
  };
  EXPECT_EQ(kept(0.5), (Indices{4}));
  EXPECT_EQ(kept(1), (Indices{3, 4}));
  EXPECT_EQ(kept(1.5), (Indices{2, 3, 4}));
  EXPECT_EQ(kept(9), (Indices{0, 1, 2, 3, 4}));
}

TEST(Filters, XtcKeepsTheLeastLikelyOfTheTop) {
  const Row scores = Logs({0.3, 0.35, 0.2, 0.1, 0.05, 0});
  const auto kept = [&](const Row& row, double threshold) {
    return KeptBy(row, [&](std::span<float> s, FilterScratch& f) { ExcludeTopChoices(s, threshold, f); });
  };
  EXPECT_EQ(kept(scores, 0.15), (Indices{2, 3, 4}));
  EXPECT_EQ(kept(scores, 0.32), (Indices{0, 1, 2, 3, 4}));  // a single one is kept
  EXPECT_EQ(kept(scores, 0.6), (Indices{0, 1, 2, 3, 4}));
  EXPECT_EQ(kept(scores, 0), (Indices{4}));
  EXPECT_EQ(kept({1, 1, 1}, 0.1), (Indices{2}));
}

TEST(Filters, SurpriseAtMostMu) {
  const Row scores = Logs({0.5, 0.25, 0.125, 0.0625, 0.0625, 0});  // 1, 2, 3, 4, 4 bits
  const auto kept = [&](const Row& row, double mu) {
    return KeptBy(row, [&](std::span<float> s, FilterScratch& f) { KeepSurprise(s, mu, f); });
  };
  EXPECT_EQ(kept(scores, 2.5), (Indices{0, 1}));
  EXPECT_EQ(kept(scores, 4.1), (Indices{0, 1, 2, 3, 4}));
  EXPECT_EQ(kept(scores, 0.5), (Indices{0}));
  EXPECT_EQ(kept({1, 1, 1, 1}, 1), (Indices{0}));  // 2 bits each: the first is kept
}

TEST(Filters, DynamicTemperatureFollowsTheEntropy) {
  FilterScratch scratch;
  const Row flat(8, 1.0f);
  EXPECT_NEAR(DynamicTemperature(flat, 1, 0.5, 1, scratch), 1.5, 1e-9);
  EXPECT_NEAR(DynamicTemperature(flat, 1, 3, 2, scratch), 4, 1e-9);
  // H = ln 2 of ln 4.
  const Row half = {0, 0, -60, -60};
  EXPECT_NEAR(DynamicTemperature(half, 1, 0.5, 1, scratch), 1.0, 1e-9);
  EXPECT_NEAR(DynamicTemperature(half, 1, 0.5, 2, scratch), 0.75, 1e-9);
  EXPECT_NEAR(DynamicTemperature(half, 0.2, 0.5, 2, scratch), 0.7 * 0.25, 1e-9);  // not below 0
  EXPECT_GT(DynamicTemperature(Row{0, -1000}, 0.2, 0.5, 1, scratch), 0);
  EXPECT_EQ(DynamicTemperature(Row{0, -kInf}, 0.2, 0.5, 1, scratch), 0.2);
}

// A single remaining token is always kept.
TEST(Filters, ASingleSurvivorStays) {
  for (const Row& row : {Row{-kInf, -3, -kInf}, Row{7}}) {
    const Indices want = Kept(row);
    EXPECT_EQ(TopK(row, 1), want);
    EXPECT_EQ(TopP(row, 0), want);
    EXPECT_EQ(MinP(row, 1), want);
    EXPECT_EQ(Typical(row, 0), want);
    FilterScratch scratch;
    Row all = row;
    CutEpsilon(all, 1, scratch);
    CutEta(all, 1, scratch);
    KeepTopNSigma(all, 0.1);
    ExcludeTopChoices(all, 0, scratch);
    KeepSurprise(all, 0, scratch);
    EXPECT_EQ(Kept(all), want);
  }
}

}  // namespace
}  // namespace stablelm
