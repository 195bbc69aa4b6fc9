// What reshapes the scores of one row before a token is drawn.
//
// Follows transformers' LogitsWarpers, and llama.cpp for what they lack. A removed token's score is -inf; tokens that
// come in as -inf stay removed. At least one token stays: every filter keeps one of the most likely. Probabilities are
// weights of ops/scores/score_row.h over their sum.
//
// These are the plain bodies, which define what is kept. candidates.h has faster ones for the usual chain.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace stablelm {

// Room for the filters, so that they allocate nothing from the second row on.
struct FilterScratch {
  std::vector<int32_t> ids;  // not removed
  std::vector<float> values, weights;
  std::vector<double> distances;
  std::vector<size_t> order;
};

// scores /= temperature, temperature > 0. Where that would overflow: (scores - max) / temperature, which is the same
// distribution.
void ApplyTemperature(std::span<float> scores, double temperature);

// The temperature between max(0, temperature - range) and temperature + range that follows the entropy H of the scores:
// low + (high - low) (H / ln N) ^ exponent, N tokens being left. Never 0: at least 1e-30.
double DynamicTemperature(std::span<const float> scores, double temperature, double range, double exponent,
                          FilterScratch& scratch);

// Removes scores < max - n * (standard deviation of the scores).
void KeepTopNSigma(std::span<float> scores, double n);

// Keeps the k largest (k >= 1), and those equal to the k-th.
void KeepTopK(std::span<float> scores, int64_t k, FilterScratch& scratch);

// Keeps the most likely tokens, in falling order, as long as those before them have less than p together, 0 <= p <= 1.
// Among equal scores the lower id comes first.
void KeepTopP(std::span<float> scores, double p, FilterScratch& scratch);

// Removes tokens less likely than min_p times the most likely one.
void KeepMinP(std::span<float> scores, double min_p, FilterScratch& scratch);

// Keeps the tokens whose surprise -ln p is nearest to the entropy, until they have `mass` together; ties with the last.
void KeepTypicalP(std::span<float> scores, double mass, FilterScratch& scratch);

// Removes tokens with a probability below epsilon, except the most likely.
void CutEpsilon(std::span<float> scores, double epsilon, FilterScratch& scratch);
// The same with min(epsilon, sqrt(epsilon) exp(-entropy)).
void CutEta(std::span<float> scores, double epsilon, FilterScratch& scratch);

// XTC, when it applies: of the tokens with a probability of at least `threshold`, if there are two or more, only the
// least likely stays (among equals the highest id). The others are not touched.
void ExcludeTopChoices(std::span<float> scores, double threshold, FilterScratch& scratch);

// Mirostat 2: keeps tokens with a surprise -log2 p of at most mu bits, and the first of the most likely ones.
void KeepSurprise(std::span<float> scores, double mu, FilterScratch& scratch);
// The least weight that has so little surprise, above 0; `total` is the sum of all weights.
double LeastWeight(double total, double mu);

}  // namespace stablelm
