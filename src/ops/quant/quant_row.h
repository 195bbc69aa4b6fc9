// Encodes rows of weights as quantized blocks and decodes them: Q8_0, Q4_0, Q4_K, Q5_K, Q6_K (ops/quant/blocks.h), and
// only decodes the types of ops/quant/decode_only_blocks.h.
//
// A row has a whole number of blocks; its bytes may start at any address. All functions may run on many threads at
// once. Decoding is defined by the formats and gives the same bits on every SIMD target. So does encoding, because
// every SIMD lane does what the reference loop (the ...Ref functions) does: additions, multiplications and divisions
// that round once, in one fixed order, never fused.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/dtype.h"

namespace stablelm {

// `out` has as many elements as the row, a multiple of BlockElements(type). Values follow the stored fp16 scales, also
// when these are infinite or NaN.
void DecodeRow(DType type, const std::byte* row, std::span<float> out);
void DecodeRowRef(DType type, const std::byte* row, std::span<float> out);
// The body of both for types that IsDecodeOnly.
void DecodeOnlyRow(DType type, const std::byte* row, std::span<float> out);

// Encoders keep the squared error of the decoded row small, each error weighted by `weights[i]` (without weights: 1).
//   Q8_0   the format's own rule: d = max |x| / 127, q = x / d rounded to nearest, halves away from zero
//   Q4_0   per block, the best scale of 19 candidates around extreme / 8, fitted by least squares
//   Q6_K   the same per sub-block, around extreme / 32; then 8-bit scales, each the best of three neighbours
//   Q4_K, Q5_K   per sub-block, scale and minimum fitted by least squares for each of 18 grids; then 6-bit
//          scales and minimums, the best of six pairs around the fit
// Values too small for any fp16 scale become zero. Weights are positive, from ImportanceWeights; `weights` is empty or
// as long as the row. Writes BytesOf(type, values.size()) bytes. Throws Error with the index of a value that is NaN,
// infinite or larger than the type can store (MaxQuantizable).
void EncodeRow(DType type, std::span<const float> values, std::span<const float> weights, std::byte* out);
// Reference loops, for values that have been checked.
void EncodeRowRef(DType type, std::span<const float> values, std::span<const float> weights, std::byte* out);

// The largest magnitude for which no fp16 scale overflows: 65,504 times the largest integer factor.
float MaxQuantizable(DType type);
// Index of the first value that EncodeRow refuses, or values.size().
size_t FirstNotQuantizable(DType type, std::span<const float> values);

// Weights for EncodeRow from the importance of each column (the mean square of the activation that it multiplies), the
// same for every row of a matrix: divided by their mean and clamped to 2^-10 and 2^10, so that a column that the
// calibration text never used still counts. If all are zero, there are no weights. Throws Error with the index of a
// value that is negative, NaN or infinite.
std::vector<float> ImportanceWeights(std::span<const float> importance);

}  // namespace stablelm
