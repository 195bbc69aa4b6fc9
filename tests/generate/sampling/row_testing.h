// Helpers for tests on rows of scores: results of transformers, random rows, remaining tokens.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "test_paths.h"

namespace stablelm {

inline constexpr float kInf = std::numeric_limits<float>::infinity();

inline std::vector<int> Kept(std::span<const float> scores) {
  std::vector<int> ids;
  for (size_t i = 0; i < scores.size(); ++i) {
    EXPECT_FALSE(std::isnan(scores[i]));
    if (scores[i] > -kInf) ids.push_back(static_cast<int>(i));
  }
  return ids;
}

struct ReferenceCase {
  std::string processor, name;
  nlohmann::json parameters;
  std::vector<float> input, want;
};

// All cases of tests/data/golden/logits_processors, and the ids of the context.
inline std::vector<ReferenceCase> ReferenceCases(std::vector<int32_t>* prompt) {
  const auto file = nlohmann::json::parse(std::ifstream(TestData("golden/logits_processors/cases.json")));
  if (prompt) *prompt = file.at("prompt").get<std::vector<int32_t>>();
  const auto floats = [](const nlohmann::json& list) {
    std::vector<float> out;
    for (const auto& v : list) out.push_back(v.is_null() ? -kInf : v.get<float>());
    return out;
  };
  std::map<std::string, std::vector<float>> inputs;
  for (const auto& c : file.at("cases")) {
    if (c.at("processor") == "input") inputs[c.at("logits")] = floats(c.at("out"));
  }
  std::vector<ReferenceCase> cases;
  for (const auto& c : file.at("cases")) {
    const std::string processor = c.at("processor"), logits = c.at("logits");
    if (processor == "input") continue;
    cases.push_back({processor, processor + " " + c.at("parameters").dump() + " on " + logits, c.at("parameters"),
                     inputs.at(logits), floats(c.at("out"))});
  }
  return cases;
}

// Removed tokens must match exactly, other scores within 1e-6; fails for NaN.
inline void ExpectReference(const ReferenceCase& c, std::span<const float> got) {
  ASSERT_EQ(got.size(), c.want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (c.want[i] == -kInf) {
      EXPECT_EQ(got[i], -kInf) << c.name << ", token " << i;
    } else {
      EXPECT_TRUE(std::abs(got[i] - c.want[i]) <= 1e-6f) << c.name << ", token " << i << ": " << got[i];
    }
  }
}

// Normal scores; about `ties` percent are rounded to quarters and `removed` percent are -inf, never all.
struct RowShape {
  double scale = 3;
  int ties = 20, removed = 5;
};
inline std::vector<float> RandomRow(size_t n, const RowShape& shape, const Philox& random, uint64_t stream) {
  std::vector<float> row(n);
  for (size_t i = 0; i < n; ++i) {
    const double u = 1 - random.Uniform(stream, 3 * i), v = random.Uniform(stream, 3 * i + 1);
    const double kind = 100 * random.Uniform(stream, 3 * i + 2);
    double s = shape.scale * std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v);
    if (kind < shape.ties) s = std::round(4 * s) / 4;
    row[i] = kind > 100 - shape.removed ? -kInf : static_cast<float>(s);
  }
  row[n / 2] = 0.5f;
  return row;
}

// Pearson's chi-square statistic of samples against probabilities (not necessarily normalised); fails for a sample of
// probability 0.
inline double ChiSquare(std::span<const int> seen, std::span<const double> want) {
  double total = 0, draws = 0, chi_square = 0;
  for (const double w : want) total += w;
  for (const int n : seen) draws += n;
  for (size_t id = 0; id < want.size(); ++id) {
    const double expected = want[id] / total * draws;
    if (expected == 0) {
      EXPECT_EQ(seen[id], 0) << id;
    } else {
      chi_square += (seen[id] - expected) * (seen[id] - expected) / expected;
    }
  }
  return chi_square;
}

}  // namespace stablelm
