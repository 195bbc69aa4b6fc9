// Reference loops that write and read one key or value of one head in a page of the cache. They define the content of a
// page; attention writes and reads whole runs of tokens with the same bits (ops/attention.h).
//
// fp32 stores a value unchanged, fp16 rounds it to nearest even. 8-bit integers q represent q * scale, quantized as in
// ops/quantized_rows.h with one block of D values: scale = a / 127 and q = x * (127 / a) rounded to nearest even, with
// a the largest magnitude; scale 0 when a < 2^-100, and NaN when a value is NaN or infinite, so that attention
// propagates it.
//
// Error of 8 bits, in units of scale: rounding to q adds at most 1/2, and the three roundings of a / 127, 127 / a and
// the product add 127 * 3 * 2^-24. With another 2^-24 for the product q * scale,
//   |x - q * scale| <= kQ8Error * scale   (or |x| < 2^-100).
// ops/attention.h derives the resulting error of a score and of the output of attention.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/kv_layout.h"

namespace stablelm {

inline constexpr double kQ8Error = 0.5 + 128 * 4 * 0x1p-24;

// Writes key or value x [D] of the token at `slot` of the page. Returns false when a finite value overflowed to
// infinity (fp16).
[[nodiscard]] bool WriteKeyRef(const KvLayout& layout, std::byte* page, int64_t head, int64_t slot, const float* x);
[[nodiscard]] bool WriteValueRef(const KvLayout& layout, std::byte* page, int64_t head, int64_t slot, const float* x);
void ReadKeyRef(const KvLayout& layout, const std::byte* page, int64_t head, int64_t slot, float* x);
void ReadValueRef(const KvLayout& layout, const std::byte* page, int64_t head, int64_t slot, float* x);

}  // namespace stablelm
