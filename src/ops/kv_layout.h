// The layout of one page of cached keys and values of one layer: what the cache allocates and attention reads.
//
// A page holds kKvPageTokens consecutive positions of one sequence. Keys are stored with the position fastest, values
// with the dimension fastest, so that both products of attention run over whole vectors without sums across lanes:
//   keys   [H, Dp, kKvPageTokens]
//   values [H, kKvPageTokens, Dp]
// Dp is D rounded up to 16; the padding is zero. Elements are fp32 or fp16. Keys are stored after rotation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace stablelm {

inline constexpr int64_t kKvPageTokens = 32;

struct KvLayout {
  int64_t n_heads = 0;   // H
  int64_t head_dim = 0;  // D
  DType dtype = DType::kF32;

  int64_t padded_dim() const { return (head_dim + 15) / 16 * 16; }  // Dp
  // Elements from the start of the page.
  int64_t KeyOffset(int64_t head) const { return head * padded_dim() * kKvPageTokens; }
  int64_t ValueOffset(int64_t head) const { return (n_heads + head) * padded_dim() * kKvPageTokens; }
  size_t PageBytes() const { return static_cast<size_t>(2 * n_heads * padded_dim() * kKvPageTokens) * BytesOf(dtype); }
};

}  // namespace stablelm
