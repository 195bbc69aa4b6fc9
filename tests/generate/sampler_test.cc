// The choice of a token: filters against transformers' own results and by hand, greedy rules, the distribution of
// draws.
#include "generate/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace stablelm {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<int> Kept(std::span<const float> scores) {
  std::vector<int> ids;
  for (size_t i = 0; i < scores.size(); ++i) {
    EXPECT_FALSE(std::isnan(scores[i]));
    if (scores[i] > -kInf) ids.push_back(static_cast<int>(i));
  }
  return ids;
}
std::vector<int> KeptByTopK(std::vector<float> scores, int64_t k) {
  FilterScratch scratch;
  KeepTopK(scores, k, scratch);
  return Kept(scores);
}
std::vector<int> KeptByTopP(std::vector<float> scores, double p) {
  FilterScratch scratch;
  KeepTopP(scores, p, scratch);
  return Kept(scores);
}

TEST(Filters, EqualTransformers) {
  const auto file = nlohmann::json::parse(std::ifstream(STABLELM_TEST_DATA "/golden/logits_processors/cases.json"));
  std::map<std::string, std::vector<float>> inputs;
  const auto floats = [](const nlohmann::json& list) {
    std::vector<float> out;
    for (const auto& v : list) out.push_back(v.is_null() ? -kInf : v.get<float>());
    return out;
  };
  for (const auto& c : file.at("cases")) {
    if (c.at("processor") == "input") inputs[c.at("logits")] = floats(c.at("out"));
  }
  ASSERT_FALSE(inputs.empty());
  int checked = 0;
  for (const auto& c : file.at("cases")) {
    const std::string processor = c.at("processor");
    SCOPED_TRACE(processor + " " + c.at("parameters").dump() + " on " + c.at("logits").get<std::string>());
    std::vector<float> got = inputs.at(c.at("logits"));
    const std::vector<float> want = floats(c.at("out"));
    FilterScratch scratch;
    if (processor == "temperature") {
      ApplyTemperature(got, c.at("parameters").at("temperature"));
      // Ours are shifted so that the largest is 0. Three roundings to fp32 lie between: theirs of the quotient, that of
      // the shift taken here, ours of the result.
      const float shift = *std::max_element(want.begin(), want.end());
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(got[i], want[i] - shift, 0x1p-24 * (std::abs(want[i]) + 2 * std::abs(got[i]) + std::abs(shift)));
      }
      EXPECT_EQ(*std::max_element(got.begin(), got.end()), 0);
    } else if (processor == "top_k" || processor == "top_p") {
      if (processor == "top_k") KeepTopK(got, c.at("parameters").at("top_k"), scratch);
      if (processor == "top_p") KeepTopP(got, c.at("parameters").at("top_p"), scratch);
      EXPECT_EQ(got, want);
    } else {
      continue;
    }
    ++checked;
  }
  EXPECT_GE(checked, 8);
}

TEST(Filters, TopKKeepsTiesWithTheLastOne) {
  EXPECT_EQ(KeptByTopK({3, 1, 2, 2, 0, 2, -kInf, 5}, 3), (std::vector<int>{0, 2, 3, 5, 7}));
  EXPECT_EQ(KeptByTopK({3, 1, 2, 2, 0, 2, -kInf, 5}, 1), (std::vector<int>{7}));
  EXPECT_EQ(KeptByTopK({3, 1}, 9), (std::vector<int>{0, 1}));
  EXPECT_EQ(KeptByTopK({-kInf, 1, -kInf, 0}, 3), (std::vector<int>{1, 3}));
}

TEST(Filters, TopPRemovesTheTailThatFitsIntoOneMinusP) {
  const std::vector<float> scores = {std::log(0.1f), std::log(0.5f), -kInf, std::log(0.25f), std::log(0.15f)};
  EXPECT_EQ(KeptByTopP(scores, 0.8), (std::vector<int>{1, 3, 4}));  // 0.1 goes, 0.1 + 0.15 does not fit into 0.2
  EXPECT_EQ(KeptByTopP(scores, 0.7), (std::vector<int>{1, 3}));
  EXPECT_EQ(KeptByTopP(scores, 0.0), (std::vector<int>{1}));
  EXPECT_EQ(KeptByTopP(scores, 1.0), (std::vector<int>{0, 1, 3, 4}));
  EXPECT_EQ(KeptByTopP({1, 1, 1, 1}, 0.6), (std::vector<int>{0, 1, 2}));  // among equals the highest id goes first
  EXPECT_EQ(KeptByTopP({1, 1, 1, 1}, 0.0), (std::vector<int>{0}));
}

TEST(Filters, TemperatureComesBeforeTopP) {
  const std::vector<float> scores = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  EXPECT_EQ(KeptByTopP(scores, 0.75), (std::vector<int>{0, 1}));
  std::vector<float> cold = scores;
  ApplyTemperature(cold, 0.5);  // 0.66, 0.24, 0.11
  EXPECT_EQ(KeptByTopP(cold, 0.65), (std::vector<int>{0}));
  EXPECT_EQ(KeptByTopP(scores, 0.65), (std::vector<int>{0, 1}));
}

TEST(Sampler, GreedyTakesTheLowestOfEquals) {
  const std::vector<float> logits = {0, 2, 1, 2, -1};
  Sampler greedy({}, 1, 0);
  double total = 0;
  for (const float l : logits) total += std::exp(static_cast<double>(l));
  const ChosenToken first = greedy.Choose(logits, 0);
  EXPECT_EQ(first.id, 1);
  EXPECT_NEAR(first.logprob, 2 - std::log(total), 1e-6);
  // The log-probability is that of the raw logits, ban or not.
  const std::vector<int32_t> banned = {1, 3};
  const ChosenToken second = greedy.Choose(logits, 0, banned);
  EXPECT_EQ(second.id, 2);
  EXPECT_NEAR(second.logprob, 1 - std::log(total), 1e-6);
  const std::vector<int32_t> all = {0, 1, 2, 3, 4}, outside = {-1, 5, 1 << 30};
  EXPECT_THROW(greedy.Choose(logits, 0, all), Error);
  EXPECT_EQ(greedy.Choose(logits, 0, outside).id, 1);
}

TEST(Sampler, ADrawDependsOnSeedSampleAndIndexAlone) {
  const std::vector<float> logits(50, 0.25f);
  const SamplingOptions options = {.temperature = 1};
  const auto draws = [&](uint64_t seed, uint64_t sample) {
    Sampler sampler(options, seed, sample);
    std::vector<int32_t> ids;
    for (uint64_t i = 0; i < 20; ++i) ids.push_back(sampler.Choose(logits, i).id);
    return ids;
  };
  const auto reference = draws(7, 0);
  EXPECT_EQ(draws(7, 0), reference);
  EXPECT_NE(draws(8, 0), reference);
  EXPECT_NE(draws(7, 1), reference);
  Sampler late(options, 7, 0);
  EXPECT_EQ(late.Choose(logits, 13).id, reference[13]);
}

TEST(Sampler, ExtremeTemperaturesStayFinite) {
  const std::vector<float> logits = {1, 900, 3, 899.99f};
  for (const double t : {1e-300, 1e-30, 1e-3}) {
    Sampler cold({.temperature = t}, 1, 0);
    for (uint64_t i = 0; i < 50; ++i) EXPECT_EQ(cold.Choose(logits, i).id, 1);
  }
  Sampler hot({.temperature = 1e6}, 1, 0);
  std::vector<int> seen(4);
  for (uint64_t i = 0; i < 400; ++i) ++seen[static_cast<size_t>(hot.Choose(logits, i).id)];
  for (const int n : seen) EXPECT_GT(n, 40);
}

// Pearson's chi-square of draws against the probabilities that the filters leave.
TEST(Sampler, DrawsFollowTheDistribution) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const std::vector<float> logits = {0.5f, -2, 1.5f, 0, 1, -kInf, 0.25f, 1.5f};
  const std::vector<int32_t> banned = {4};
  const double temperature = 0.8;
  std::vector<double> want(logits.size());
  double total = 0;
  for (const size_t id : {size_t{0}, size_t{2}, size_t{6}, size_t{7}}) {  // top-k 4 of what is not banned
    want[id] = std::exp(logits[id] / temperature);
    total += want[id];
  }
  Sampler sampler({.temperature = temperature, .top_k = 4}, seed, 3);
  constexpr int kDraws = 40000;
  std::vector<int> seen(logits.size());
  for (uint64_t i = 0; i < kDraws; ++i) ++seen[static_cast<size_t>(sampler.Choose(logits, i, banned).id)];
  double chi_square = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    const double expected = want[id] / total * kDraws;
    if (expected == 0) {
      EXPECT_EQ(seen[id], 0) << id;
    } else {
      chi_square += (seen[id] - expected) * (seen[id] - expected) / expected;
    }
  }
  EXPECT_LT(chi_square, 40.0);  // three degrees of freedom: a chance of 1e-8
}

}  // namespace
}  // namespace stablelm
