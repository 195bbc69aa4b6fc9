// Passes over one row of scores (logits) for sampling: the maximum, division, the entries at or above a threshold,
// softmax weights. Single-threaded.
//
// A score row holds finite values and -inf (removed entries), no NaN and no +inf; n >= 1 unless said otherwise.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stablelm {

// Entries that CollectAtLeast may write after those that it reports: room for one vector of any target.
inline constexpr size_t kCollectPadding = 64;

// False when the row holds a NaN or +inf.
bool IsScoreRow(const float* x, size_t n);
float MaxOf(const float* x, size_t n);
// The smallest entry above -inf; +inf when there is none.
float LowestOf(const float* x, size_t n);
// The first i with x[i] == value, or n.
size_t FirstEqual(const float* x, size_t n, float value);
// x[i] /= divisor.
void DivideInPlace(float* x, size_t n, float divisor);
// maxima[j] = the largest of x[j], x[j + columns], x[j + 2 columns], ...; n >= columns >= 1. The k-th largest of the
// maxima is at most the k-th largest of x: a threshold that loses none of the k largest.
void ColumnMaxima(const float* x, size_t n, size_t columns, float* maxima);
// Collects the entries >= least, in order: their indices in ids, their scores in values. Returns how many. Both outputs
// have room for n + kCollectPadding.
size_t CollectAtLeast(const float* x, size_t n, float least, int32_t* ids, float* values);
// Number of entries >= least.
size_t CountAtLeast(const float* x, size_t n, float least);
// Where key[i] < least: x[i] = -inf and weights[i] = 0. Returns the sum of the remaining weights. `key` is x, weights
// or another row.
double RemoveBelow(const float* key, size_t n, float least, float* x, float* weights);

// bins[i] = the integer part of (max - x[i]) * per_unit, at most last_bin; a lower score never gets a lower bin. max is
// finite and no entry is above it; 0 < per_unit, finite.
void BinsBelow(const float* x, size_t n, float max, float per_unit, int32_t last_bin, int32_t* bins);
// Indices of the entries that equal `bin`, in order; room for n + kCollectPadding. Returns how many.
size_t IndicesOf(const int32_t* bins, size_t n, int32_t bin, int32_t* indices);

// Grid of the weights below.
inline constexpr double kWeightStep = 0x1p-36;
// weights[i] = exp(x[i] - max) rounded to a multiple of kWeightStep, where max is the row's maximum, finite. Returns
// the sum. Because of the grid every sum of up to 2^17 weights is exact in a double: in any order, with or without the
// entries that are zero. A weight's bits depend on its x and on max alone.
double SoftmaxWeights(const float* x, size_t n, float max, float* weights);
double SoftmaxWeightsRef(const float* x, size_t n, float max, float* weights);  // std::exp in fp64
// The sum of weights.
double SumOfWeights(const float* weights, size_t n);  // n >= 0

}  // namespace stablelm
