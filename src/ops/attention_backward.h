// Backward pass of causal self-attention (ops/attention.h) for whole documents, from what the forward pass kept: the
// rotated queries and keys, the values, the output and the log-sum-exp of the scores. The score matrix is computed
// again, chunk by chunk, and never stored (Dao et al., "FlashAttention", 2022, algorithm 4).
//
// Per head, with scale = 1 / sqrt(D), P = exp(scale q kᵀ - lse) for keys up to the query's own, else 0:
//   d_v = Pᵀ d_out;  dS = scale P (d_out vᵀ - delta), delta = sum over D of d_out * out;  d_q = dS k;  d_k = dSᵀ q
// d_q and d_k are then rotated back, so that they belong to the output of the QKV linear.
#pragma once

#include <cstdint>
#include <span>

#include "ops/attention.h"

namespace stablelm {

// T is float; the plain loop takes double too.
template <typename T>
struct AttentionBackwardArrays {
  // [rows, 3 * H * D], as StoreKeysValues left it: queries and keys rotated.
  const T* qkv = nullptr;
  QkvLayout qkv_layout;
  const T* out = nullptr;             // [rows, H * D], of Attend
  const T* log_sum_exp = nullptr;     // [rows, H], of Attend
  const T* d_out = nullptr;           // [rows, H * D]
  T* d_qkv = nullptr;                 // [rows, 3 * H * D], in the same layout; written, must not overlap qkv
  int64_t n_heads = 0, head_dim = 0;  // H, D
  // One per document, with start 0; pages are not used.
  std::span<const AttentionSequence> sequences;
  const RotaryTable* rotary = nullptr;
};
using AttentionBackwardInput = AttentionBackwardArrays<float>;

// Writes the rows of all documents, and no others; the bits of a document's rows depend on that document alone. There
// is one task per document and head, so threads beyond the number of documents times heads are idle.
void AttentionBackward(const AttentionBackwardInput& in, ExecutionContext& exec);
void AttentionBackwardRef(const AttentionBackwardInput& in);  // fp64 inside
void AttentionBackwardRef(const AttentionBackwardArrays<double>& in);

}  // namespace stablelm
