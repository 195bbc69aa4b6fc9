// The layout of one page of cached keys and values of one layer: what the cache allocates and attention reads.
//
// A page holds kKvPageTokens consecutive tokens of one sequence. Keys are stored with the token fastest, values with
// the dimension fastest, so that both products of attention run over whole vectors without sums across lanes:
//   keys   [H, Dp, kKvPageTokens]
//   values [H, kKvPageTokens, Dp]
// Dp is D rounded up to a multiple of 16, padded with zeros. Elements are fp32, fp16 or 8-bit integers q, stored as
// q + 128. Keys are stored after rotation.
//
// 8-bit elements are grouped in words of four that attention multiplies together (ops/attention.h): four dimensions of
// a key, or four tokens of a value. 16 words of adjacent outputs (tokens of keys, dimensions of values) fill one line
// of the processor's cache, and attention reads a page line after line.
//   keys   [H, kKvPageTokens / 16, Dp / 4, 16, 4]
//   values [H, Dp / 16, kKvPageTokens / 4, 16, 4]
// Their fp32 scales follow, one for each token and head:
//   scales of keys   [H, kKvPageTokens]
//   scales of values [H, kKvPageTokens]
// ops/kv_page.h defines how keys and values are quantized, and bounds the error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/dtype.h"

namespace stablelm {

inline constexpr int64_t kKvPageTokens = 32;

// 8-bit integers, -127 to 127, are stored as unsigned bytes: more processors can multiply these.
constexpr uint8_t KvByte(int8_t q) { return static_cast<uint8_t>(q + 128); }
constexpr int8_t FromKvByte(uint8_t byte) { return static_cast<int8_t>(byte - 128); }

// Types that a cache can have, and their names on the command line: "fp32", "fp16", "q8".
constexpr bool IsKvType(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kI8; }
inline std::string_view KvTypeName(DType dtype) { return dtype == DType::kI8 ? "q8" : NameOf(dtype); }

struct KvLayout {
  int64_t n_heads = 0;   // H
  int64_t head_dim = 0;  // D
  DType dtype = DType::kF32;

  int64_t padded_dim() const { return (head_dim + 15) / 16 * 16; }  // Dp
  bool scaled() const { return dtype == DType::kI8; }
  // Offsets in elements from the start of the page.
  int64_t KeyOffset(int64_t head) const { return head * padded_dim() * kKvPageTokens; }
  int64_t ValueOffset(int64_t head) const { return (n_heads + head) * padded_dim() * kKvPageTokens; }
  // Element index of dimension i of the token at `slot`.
  int64_t KeyIndex(int64_t head, int64_t slot, int64_t i) const {
    return KeyOffset(head) + (scaled() ? InLines(slot, i, padded_dim()) : i * kKvPageTokens + slot);
  }
  int64_t ValueIndex(int64_t head, int64_t slot, int64_t i) const {
    return ValueOffset(head) + (scaled() ? InLines(i, slot, kKvPageTokens) : slot * padded_dim() + i);
  }
  // The kKvPageTokens scales of a head, in a page with scales.
  float* KeyScales(std::byte* page, int64_t head) const { return reinterpret_cast<float*>(page + ScaleOffset(head)); }
  const float* KeyScales(const std::byte* page, int64_t head) const {
    return reinterpret_cast<const float*>(page + ScaleOffset(head));
  }
  float* ValueScales(std::byte* page, int64_t head) const { return KeyScales(page, n_heads + head); }
  const float* ValueScales(const std::byte* page, int64_t head) const { return KeyScales(page, n_heads + head); }
  // A multiple of 64.
  size_t PageBytes() const { return ScaleOffset(scaled() ? 2 * n_heads : 0); }

 private:
  // Element index in lines of 16 words of 4: `across` counts words, `along` (of n) is the dimension that is summed
  // over.
  static int64_t InLines(int64_t across, int64_t along, int64_t n) {
    return (across / 16 * (n / 4) + along / 4) * 64 + across % 16 * 4 + along % 4;
  }
  // In bytes. The elements of a page end where the first scales begin.
  size_t ScaleOffset(int64_t index) const {
    return static_cast<size_t>(2 * n_heads * padded_dim() * kKvPageTokens) * BytesOf(dtype) +
           static_cast<size_t>(index * kKvPageTokens) * sizeof(float);
  }
};

// The cache of one layer: page p starts at pages + p * stride.
struct KvLayerPages {
  std::byte* pages = nullptr;  // 64-byte aligned
  size_t stride = 0;           // bytes from page to page
  KvLayout layout;
  std::byte* Page(int64_t p) const { return pages + static_cast<size_t>(p) * stride; }
};

}  // namespace stablelm
