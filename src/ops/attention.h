// Causal self-attention over a paged KV cache, for a ragged batch: each sequence attends to its own cache only.
//
// Reads the fused output of the QKV linear, in the row order of the weights: per head [H, 3, D] or stacked [3, H, D]
// (QkvLayout). The order changes where a value is read, never its bits.
// Two steps: StoreKeysValues rotates q in place, rotates k and writes k and v to the cache. Attend reads keys and
// values back from the cache, those of the current tokens too, so the result does not depend on how a prompt was split
// into chunks.
//
// The bits of one (token, head) are defined as follows. Each score is one chain of multiply-adds over D. Keys are
// processed in chunks of kAttentionChunk tokens from position 0; each chunk updates the running maximum and rescales
// the running sum and output once (online softmax, Milakov and Gimelshein 2018). The output is one chain over the keys
// in order. Nothing depends on the other tokens, heads or sequences.
//
// With an 8-bit cache, products are integer products, whose sums are exact. A query is rounded to integers of up to
// QueryLevels times one fp32 scale; its score with a key is the integer dot product times both scales. The softmax
// weights of a page, each times its value's scale, are rounded to integers of up to kWeightLevels times one fp32 scale;
// the output is a chain over the pages.
//
// Error bound of an 8-bit cache, in addition to fp32 rounding. Keys and values are off by at most kQ8Error of their
// scales (ops/kv_page.h). A value rounded to an integer is off by at most kRoundingError of its unit: 1/2, and four
// roundings of fp32. So a score dot(u, k_j) / sqrt(D) of query u moves by at most
//   E = max_j key scale_j * (kQ8Error * |u|_1 + 127 * Dp * kRoundingError * |u|_max / QueryLevels) / sqrt(D)
// Softmax weights p_j whose logits move by up to E become p'_j with, over any set of keys, |p' - p| <= tanh(E / 2)
// (worst case: half of the weight moves up by E and the other half down). Rounding moves each weight of a page by at
// most kRoundingError / kWeightLevels of the page's largest, and the largest weights of all pages sum to at most 1. So
// an output moves by at most
//   tanh(E / 2) * (max_j v_j - min_j v_j)
//     + (kQ8Error + 127 * kKvPageTokens * kRoundingError / kWeightLevels) * max_j value scale_j
// in each dimension, where v_j are the values of that dimension. Q8ScoreError computes E; kQ8ValueError is the factor
// of the second term. A query, or a product of weight and scale, below 2^-126 counts as zero.
//
// A non-finite key or value makes the outputs that attend to it non-finite, in every type of cache. (Exception: an
// infinite fp32 or fp16 key with a score of minus infinity gets weight 0.)
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

// Largest integer that a weight or query element is rounded to with an 8-bit cache: 127 * 256, which fits in two signed
// bytes, or less where the sum over a very long head would overflow 32 bits.
inline constexpr int32_t kWeightLevels = 32512;
inline int32_t QueryLevels(const KvLayout& layout) {
  return static_cast<int32_t>(std::min<int64_t>(kWeightLevels, INT32_MAX / (128 * layout.padded_dim())));
}
inline constexpr double kRoundingError = 0.5 + kWeightLevels * 4 * 0x1p-24;
// E (above) of a query with these norms, |u|_1 and |u|_max, and the factor of the largest value scale.
double Q8ScoreError(const KvLayout& layout, double key_scale, double query_sum, double query_largest);
inline constexpr double kQ8ValueError = kQ8Error + 127 * kKvPageTokens * kRoundingError / kWeightLevels;

// The rows of one sequence in a batch, and its cache pages in one layer.
struct AttentionSequence {
  int64_t row_begin = 0;  // first row in qkv and out
  int64_t rows = 0;
  int64_t start = 0;               // position of the first row
  std::span<const int32_t> pages;  // page numbers, at least ceil((start + rows) / kKvPageTokens)
};

// Offsets of the D values of a head's query (part 0), key (1) and value (2) in a row of the QKV linear's output.
struct QkvLayout {
  int64_t part_stride = 0;
  int64_t head_stride = 0;

  // [H, 3, D]: q, k, v of head 0, then of head 1, ... (Hugging Face).
  static QkvLayout PerHead(int64_t head_dim) { return {.part_stride = head_dim, .head_stride = 3 * head_dim}; }
  // [3, H, D]: all queries, all keys, all values (GGUF).
  static QkvLayout Stacked(int64_t n_heads, int64_t head_dim) {
    return {.part_stride = n_heads * head_dim, .head_stride = head_dim};
  }
  int64_t Offset(int64_t part, int64_t head) const { return part * part_stride + head * head_stride; }
};

struct AttentionInput {
  float* qkv = nullptr;  // [rows of the batch, 3 * H * D]
  QkvLayout qkv_layout;
  float* out = nullptr;          // [rows of the batch, H * D]
  float* log_sum_exp = nullptr;  // [rows of the batch, H], or null: Attend writes max + log(sum of exp(score - max))
  std::span<const AttentionSequence> sequences;
  KvLayerPages cache;
  const RotaryTable* rotary = nullptr;
};

// Returns false when a finite key or value overflowed to infinity in an fp16 cache; the caller names the layer. Writes
// the same bits as WriteKeyRef and WriteValueRef (ops/kv_page.h).
[[nodiscard]] bool StoreKeysValues(const AttentionInput& in, ExecutionContext& exec);
void Attend(const AttentionInput& in, ExecutionContext& exec);
void AttendRef(const AttentionInput& in);  // plain softmax in fp64 over the cached values

// Largest head size that Attend's scratch holds.
inline constexpr int64_t kMaxHeadDim = 4096;

}  // namespace stablelm
