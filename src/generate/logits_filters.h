// What reshapes the scores of one row before a token is drawn: temperature, top-k, top-p.
//
// Follows transformers' TemperatureLogitsWarper, TopKLogitsWarper and TopPLogitsWarper, applied in this order. A
// removed token's score is -inf. Tokens that come in as -inf stay removed. At least one token stays.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace stablelm {

// Room for the filters, so that they allocate nothing from the second row on.
struct FilterScratch {
  std::vector<float> values;
  std::vector<int32_t> ids;
  std::vector<double> weights;
};

// scores = (scores - max) / temperature, temperature > 0. Taking the maximum away changes no probability and keeps the
// smallest temperatures finite.
void ApplyTemperature(std::span<float> scores, double temperature);

// Keeps the k largest (k >= 1), and those equal to the k-th.
void KeepTopK(std::span<float> scores, int64_t k, FilterScratch& scratch);

// Removes the least likely tokens as long as their probabilities together are at most 1 - p, 0 <= p <= 1. Among equal
// scores the higher ids go first.
void KeepTopP(std::span<float> scores, double p, FilterScratch& scratch);

}  // namespace stablelm
