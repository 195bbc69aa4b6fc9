// Causal self-attention over a paged cache, for a ragged batch: each sequence attends to its own cache only.
//
// Works on the fused output of the QKV linear, in the order of the weights' rows: per head [H, 3, D] or stacked
// [3, H, D], as a QkvLayout says. The order changes where a value is read, never its bits.
// Two steps: StoreKeysValues rotates q in place, rotates k and writes k and v to the cache; Attend reads keys and
// values back from the cache, those of the current tokens too, so that what is computed does not depend on how a prompt
// was cut.
//
// What defines the bits of one (token, head): scores are chains over D; keys are walked in chunks of kAttentionChunk
// positions from position 0; per chunk the running maximum, sum and output are rescaled once (online softmax, Milakov
// and Gimelshein 2018); the output is a chain over the keys in order. Nothing depends on the other tokens, heads or
// sequences.
//
// A cache of 8-bit integers is multiplied by integers, and sums of such products are exact. A query becomes integers of
// up to QueryLevels times one fp32 number; its score with a key is the integers' dot product times both scales. The
// weights of a page, each times its value's scale, become integers of up to kWeightLevels times one fp32 number; the
// output is a chain over the pages.
//
// What such a cache costs, beside the rounding of fp32 arithmetic. Keys and values are off by kQ8Error of their scales
// (ops/kv_page.h), a number that becomes integers by kRoundingError of its unit: 1/2, and four roundings of fp32. So a
// score dot(u, k_j) / sqrt(D) of query u moves by at most
//   E = max_j key scale_j * (kQ8Error * |u|_1 + 127 * Dp * kRoundingError * |u|_max / QueryLevels) / sqrt(D)
// and softmax weights p_j whose logits move by up to E become p'_j with, over any set of keys, |p' - p| <= tanh(E / 2)
// (worst when half of the weight moves up by E and the other half down). Rounding moves each weight of a page by at
// most kRoundingError / kWeightLevels of the largest, and the largest of all pages add up to no more than 1. So an
// output moves by at most
//   tanh(E / 2) * (max_j v_j - min_j v_j) + (kQ8Error + 127 * kKvPageTokens * kRoundingError / kWeightLevels) * max_j
//   value scale_j
// in each dimension, where v_j are the values of that dimension: Q8ScoreError and kQ8ValueError. A query or a product
// of weight and scale below 2^-126 counts as zero.
//
// A key or value that is not finite makes what attends to it not finite, in every type of cache. (An infinite fp32 or
// fp16 key with a score of minus infinity counts as a key that nobody looks at.)
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/execution_context.h"
#include "ops/kv_page.h"
#include "ops/rotary.h"

namespace stablelm {

inline constexpr int64_t kAttentionChunk = 256;
static_assert(kAttentionChunk % kKvPageTokens == 0);

// The largest integer that a weight or an element of a query becomes beside 8-bit values and keys: 127 * 256, which has
// two signed bytes, or less where the sum over a very long head would leave 32 bits.
inline constexpr int32_t kWeightLevels = 32512;
inline int32_t QueryLevels(const KvLayout& layout) {
  return static_cast<int32_t>(std::min<int64_t>(kWeightLevels, INT32_MAX / (128 * layout.padded_dim())));
}
inline constexpr double kRoundingError = 0.5 + kWeightLevels * 4 * 0x1p-24;
// E of a query with these norms, and the factor of the largest value scale.
double Q8ScoreError(const KvLayout& layout, double key_scale, double query_sum, double query_largest);
inline constexpr double kQ8ValueError = kQ8Error + 127 * kKvPageTokens * kRoundingError / kWeightLevels;

// The rows of one sequence in a batch, and its cache pages in one layer.
struct AttentionSequence {
  int64_t row_begin = 0;  // first row in qkv and out
  int64_t rows = 0;
  int64_t start = 0;               // position of the first row
  std::span<const int32_t> pages;  // page numbers, at least ceil((start + rows) / kKvPageTokens)
};

// Where the D values of a head's query (part 0), key (1) and value (2) begin in a row of the QKV linear's output.
struct QkvLayout {
  int64_t part_stride = 0;
  int64_t head_stride = 0;

  // [H, 3, D]: q, k, v of head 0, then of head 1, ...: Hugging Face's files.
  static QkvLayout PerHead(int64_t head_dim) { return {.part_stride = head_dim, .head_stride = 3 * head_dim}; }
  // [3, H, D]: all queries, all keys, all values: GGUF.
  static QkvLayout Stacked(int64_t n_heads, int64_t head_dim) {
    return {.part_stride = n_heads * head_dim, .head_stride = head_dim};
  }
  int64_t Offset(int64_t part, int64_t head) const { return part * part_stride + head * head_stride; }
};

struct AttentionInput {
  float* qkv = nullptr;  // [rows of the batch, 3 * H * D]
  QkvLayout qkv_layout;
  float* out = nullptr;  // [rows of the batch, H * D]
  std::span<const AttentionSequence> sequences;
  KvLayerPages cache;
  const RotaryTable* rotary = nullptr;
};

// False when a key or value became infinite in an fp16 cache although it was finite: the caller names the layer. What
// is written has the bits of WriteKeyRef and WriteValueRef (ops/kv_page.h).
[[nodiscard]] bool StoreKeysValues(const AttentionInput& in, ExecutionContext& exec);
void Attend(const AttentionInput& in, ExecutionContext& exec);
void AttendRef(const AttentionInput& in);  // plain softmax in fp64 over the cached values

// Largest head size that Attend's scratch holds.
inline constexpr int64_t kMaxHeadDim = 4096;

}  // namespace stablelm
