// Filters (temperature, top-k, top-p, ...): change the scores of one row before a token is sampled.
//
// Follows transformers' LogitsWarpers, and llama.cpp for filters that transformers lacks. A removed token has the score
// -inf and stays removed. At least one token remains: every filter keeps one of the most likely. Probabilities are the
// weights of ops/scores/score_row.h divided by their sum.
//
// These are the reference implementations. candidates.h has faster ones for the usual chain.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace stablelm {

// Buffers for the filters, so that they allocate nothing after the first row.
struct FilterScratch {
  std::vector<int32_t> ids;  // of the remaining tokens
  std::vector<float> values, weights;
  std::vector<double> distances;
  std::vector<size_t> order;
};

// scores /= temperature, temperature > 0. When that would overflow: (scores - max) / temperature, the same
// distribution.
void ApplyTemperature(std::span<float> scores, double temperature);

// A temperature between low = max(0, temperature - range) and high = temperature + range, from the entropy H of the N
// remaining tokens: low + (high - low) (H / ln N) ^ exponent. At least 1e-30.
double DynamicTemperature(std::span<const float> scores, double temperature, double range, double exponent,
                          FilterScratch& scratch);

// Removes scores < max - n * (standard deviation of the scores).
void KeepTopNSigma(std::span<float> scores, double n);

// Keeps the k largest (k >= 1) and ties with the k-th.
void KeepTopK(std::span<float> scores, int64_t k, FilterScratch& scratch);

// Keeps tokens in descending order of probability while the tokens before them sum to less than p, 0 <= p <= 1. Among
// equal scores the lower id comes first.
void KeepTopP(std::span<float> scores, double p, FilterScratch& scratch);

// Removes tokens less likely than min_p times the most likely one.
void KeepMinP(std::span<float> scores, double min_p, FilterScratch& scratch);

// Keeps the tokens whose surprise -ln p is nearest to the entropy until they sum to `mass`, and ties with the last one.
void KeepTypicalP(std::span<float> scores, double mass, FilterScratch& scratch);

// Removes tokens with a probability below epsilon, except the most likely.
void CutEpsilon(std::span<float> scores, double epsilon, FilterScratch& scratch);
// Removes tokens below min(epsilon, sqrt(epsilon) exp(-entropy)), except the most likely.
void CutEta(std::span<float> scores, double epsilon, FilterScratch& scratch);

// XTC, when it applies: if two or more tokens have a probability of at least `threshold`, removes them all but the
// least likely (the highest id in a tie). Other tokens are unchanged.
void ExcludeTopChoices(std::span<float> scores, double threshold, FilterScratch& scratch);

// Mirostat 2: keeps tokens with a surprise -log2 p of at most mu bits, and always the most likely one (the lowest id in
// a tie).
void KeepSurprise(std::span<float> scores, double mu, FilterScratch& scratch);
// The least weight, above 0, with a surprise of at most mu bits; `total` is the sum of all weights.
double LeastWeight(double total, double mu);

}  // namespace stablelm
