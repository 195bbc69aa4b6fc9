// Rows of weights to quantized blocks and back: Q8_0, Q4_0, Q4_K, Q5_K, Q6_K (ops/quant/blocks.h).
//
// A row has a whole number of blocks; its bytes may lie at any address. All functions may run on many threads at once.
// Decoding is defined by the formats and gives the same bits on every SIMD target; so does encoding, because every SIMD
// lane does what the plain loop (the ...Ref functions) does: additions, multiplications and divisions that round once,
// in one fixed order, never fused.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/dtype.h"

namespace stablelm {

// `out` has row-length elements, a multiple of BlockElements(type). Values follow the stored fp16 scales, also where a
// file has infinities or NaN there.
void DecodeRow(DType type, const std::byte* row, std::span<float> out);
void DecodeRowRef(DType type, const std::byte* row, std::span<float> out);

// Encoders keep the squared error of the decoded row small, each error counted `weights[i]` times (no weights: once).
//   Q8_0   the format's own rule: d = max |x| / 127, q = x / d rounded to nearest, halves away from zero
//   Q4_0   per block the scale among 19 candidates around extreme / 8 that explains most, fitted by least squares
//   Q6_K   the same per sub-block, around extreme / 32; then 8-bit scales, each the best of three neighbours
//   Q4_K, Q5_K   per sub-block scale and minimum, fitted by least squares for each of 18 grids; then 6-bit
//          scales and minimums, the best of six pairs around the fit
// Values so small that no fp16 scale reaches them become zero. Weights are positive, from ImportanceWeights; `weights`
// is empty or as long as the row. Writes BytesOf(type, values.size()) bytes. Throws Error, naming the position, when a
// value is NaN, infinite or larger than the type holds (MaxQuantizable).
void EncodeRow(DType type, std::span<const float> values, std::span<const float> weights, std::byte* out);
// The plain loops, for values that have been checked.
void EncodeRowRef(DType type, std::span<const float> values, std::span<const float> weights, std::byte* out);

// The largest magnitude for which no fp16 scale overflows: 65,504 times the largest integer factor.
float MaxQuantizable(DType type);
// Index of the first value that EncodeRow refuses, or the number of values.
size_t FirstNotQuantizable(DType type, std::span<const float> values);

// Weights for EncodeRow from the importance of each column (the mean square of the activation that it meets), the same
// for every row of a matrix: divided by their mean and held between 2^-10 and 2^10, so that a column that the
// calibration text never used still counts. Nothing but zeros gives no weights. Throws Error, naming the position, for
// negative numbers, NaN and infinity.
std::vector<float> ImportanceWeights(std::span<const float> importance);

}  // namespace stablelm
