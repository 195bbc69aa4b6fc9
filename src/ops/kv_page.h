// One key or value of one head in a page of the cache, written and read back by plain loops: what defines the content
// of a page. Attention writes and reads whole runs of them with the same bits (ops/attention.h).
//
// fp32 keeps a number as it is, fp16 rounds it to nearest even. 8-bit integers q stand for q * scale, as
// ops/quantized_rows.h makes them of a block of D numbers: scale = a / 127 and q = x * (127 / a) rounded to nearest
// even, with a the largest magnitude; scale 0 when a < 2^-100, and NaN when a number is NaN or infinite, so that
// attention shows it.
//
// What 8 bits cost. The rounding to q is off by at most 1/2, and the three roundings of a / 127, 127 / a and the
// product by 127 * 3 * 2^-24 in units of scale, so with 2^-24 for whoever multiplies q * scale
//   |x - q * scale| <= kQ8Error * scale   (or |x| < 2^-100).
// ops/attention.h says what that does to a score and to the output of attention.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/kv_layout.h"

namespace stablelm {

inline constexpr double kQ8Error = 0.5 + 128 * 4 * 0x1p-24;

// Key or value x [D] of the position at `slot` of the page. False when a finite number became infinite (fp16).
[[nodiscard]] bool WriteKeyRef(const KvLayout& layout, std::byte* page, int64_t head, int64_t slot, const float* x);
[[nodiscard]] bool WriteValueRef(const KvLayout& layout, std::byte* page, int64_t head, int64_t slot, const float* x);
void ReadKeyRef(const KvLayout& layout, const std::byte* page, int64_t head, int64_t slot, float* x);
void ReadValueRef(const KvLayout& layout, const std::byte* page, int64_t head, int64_t slot, float* x);

}  // namespace stablelm
