// Writes keys and values of one head to a page of the cache, with the bits that ops/kv_page.h defines.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "ops/convert.h"
#include "ops/cpu/attention_cpu.h"
#include "ops/quantized_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention_store_cpu.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

constexpr size_t kPage = static_cast<size_t>(kKvPageTokens);
// Dimensions that are transposed together. The rows of a batch are multiples of 4 KiB apart, so walking down a column
// would use only a few lines of the L1 cache.
constexpr size_t kTile = 64;

// Calls body(vector, index, count) for the vectors of x [n]; the lanes from `count` on are zero.
template <typename Body>
HWY_INLINE void ForVectors(const float* HWY_RESTRICT x, size_t n, const Body& body) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) body(hn::LoadU(d, x + i), i, lanes);
  if (i == n) return;
  HWY_ALIGN float rest[hn::MaxLanes(DF())] = {};
  std::copy(x + i, x + n, rest);
  body(hn::Load(d, rest), i, n - i);
}

bool FitsF16(const float* HWY_RESTRICT x, size_t n) {
  const DF d;
  bool fits = true;
  ForVectors(x, n, [&](VF v, size_t, size_t) HWY_ATTR {
    const VF magnitude = hn::Abs(v);
    const auto too_large = hn::And(hn::Ge(magnitude, hn::Set(d, 65520.0f)),
                                   hn::Lt(magnitude, hn::Set(d, std::numeric_limits<float>::infinity())));
    fits = fits && hn::AllFalse(d, too_large);
  });
  return fits;
}

// One row of a head, to be stored. x is null when all its integers are zero.
struct Row {
  const float* x = nullptr;
  float inverse = 0;  // 127 / a, for 8-bit integers
};

template <typename T>
Row MakeRow(const float* HWY_RESTRICT x, size_t n, float* scale, bool& fits) {
  if constexpr (std::is_same_v<T, F16>) fits = FitsF16(x, n) && fits;
  if constexpr (!std::is_same_v<T, int8_t>) return {.x = x};
  const DF d;
  VF largest = hn::Zero(d), poison = hn::Zero(d);
  ForVectors(x, n, [&](VF v, size_t, size_t) HWY_ATTR {
    largest = hn::Max(largest, hn::Abs(v));
    poison = hn::MulAdd(v, hn::Zero(d), poison);  // NaN if a value is not finite
  });
  const bool bad = std::isnan(hn::GetLane(hn::SumOfLanes(d, poison)));
  const float a = hn::GetLane(hn::MaxOfLanes(d, largest));
  if (bad || a < kSmallestBlock) {
    *scale = bad ? std::numeric_limits<float>::quiet_NaN() : 0.0f;
    return {.x = nullptr};
  }
  *scale = a / 127.0f;
  return {.x = x, .inverse = 127.0f / a};
}

// Encodes elements [begin, begin + n) of a row of `dims` values; zero past the end of the row.
template <typename T>
void Encode(const Row& row, size_t dims, size_t begin, size_t n, T* HWY_RESTRICT out) {
  const size_t real = row.x ? std::min(n, dims - std::min(dims, begin)) : 0;
  if constexpr (std::is_same_v<T, int8_t>) {
    const DF d;
    const hn::Rebind<int16_t, DF> d16;
    const hn::Rebind<int8_t, DF> d8;
    const VF inverse = hn::Set(d, row.inverse);
    ForVectors(real > 0 ? row.x + begin : row.x, real, [&](VF v, size_t i, size_t count) HWY_ATTR {
      const auto small = hn::DemoteTo(d8, hn::DemoteTo(d16, hn::NearestInt(hn::Mul(v, inverse))));
      const auto q = hn::Xor(small, hn::Set(d8, int8_t{-128}));  // KvByte
      HWY_ALIGN int8_t all[hn::MaxLanes(DF())];
      hn::Store(q, d8, all);
      std::memcpy(out + i, all, count);
    });
  } else if (real > 0) {
    ConvertFromFloat(row.x + begin, real, kDTypeOf<T>, reinterpret_cast<std::byte*>(out));
  }
  std::memset(out + real, std::is_same_v<T, int8_t> ? KvByte(0) : 0, (n - real) * sizeof(T));
}

template <typename T>
bool StoreRowsAs(const AttentionInput& in, const AttentionSequence& s, int64_t first, int64_t count, int64_t head) {
  const KvLayout& layout = in.cache.layout;
  const size_t dims = static_cast<size_t>(layout.head_dim), padded = static_cast<size_t>(layout.padded_dim());
  const size_t rows = static_cast<size_t>(count);
  const int64_t position = s.start + first, slot = position % kKvPageTokens;
  std::byte* const page =
      in.cache.pages + static_cast<size_t>(s.pages[static_cast<size_t>(position / kKvPageTokens)]) * in.cache.stride;
  float key_scales[kPage], value_scales[kPage];
  Row keys[kPage], values[kPage];
  bool fits = true;
  for (size_t r = 0; r < rows; ++r) {
    const int64_t at = first + static_cast<int64_t>(r);
    float* const qkv = in.qkv + (s.row_begin + at) * layout.n_heads * 3 * layout.head_dim;
    float* const k = qkv + in.qkv_layout.Offset(1, head);
    RotateInPlace(*in.rotary, s.start + at, qkv + in.qkv_layout.Offset(0, head));
    RotateInPlace(*in.rotary, s.start + at, k);
    keys[r] = MakeRow<T>(k, dims, key_scales + r, fits);
    values[r] = MakeRow<T>(qkv + in.qkv_layout.Offset(2, head), dims, value_scales + r, fits);
  }
  if constexpr (std::is_same_v<T, int8_t>) {
    std::copy_n(key_scales, rows, layout.KeyScales(page, head) + slot);
    std::copy_n(value_scales, rows, layout.ValueScales(page, head) + slot);
  }
  T* const elements = reinterpret_cast<T*>(page);
  alignas(64) T tile[kPage * kTile];
  for (size_t begin = 0; begin < padded; begin += kTile) {
    const size_t n = std::min(kTile, padded - begin);
    const auto key_at = [&](size_t r, size_t i) {
      return elements + layout.KeyIndex(head, slot + static_cast<int64_t>(r), static_cast<int64_t>(begin + i));
    };
    const auto value_at = [&](size_t r, size_t i) {
      return elements + layout.ValueIndex(head, slot + static_cast<int64_t>(r), static_cast<int64_t>(begin + i));
    };
    if constexpr (std::is_same_v<T, int8_t>) {
      for (size_t r = 0; r < rows; ++r) {
        Encode<T>(keys[r], dims, begin, n, tile);
        for (size_t i = 0; i < n; i += 4) std::memcpy(key_at(r, i), tile + i, 4);
        Encode<T>(values[r], dims, begin, n, tile);
        for (size_t i = 0; i < n; i += 16) {
          T* const words = value_at(r, i);
          for (size_t j = 0; j < 16; ++j) words[4 * j] = tile[i + j];
        }
      }
    } else {
      for (size_t r = 0; r < rows; ++r) {
        Encode<T>(keys[r], dims, begin, n, tile + r * kTile);
        Encode<T>(values[r], dims, begin, n, value_at(r, 0));
      }
      for (size_t i = 0; i < n; ++i) {
        for (size_t r = 0; r < rows; ++r) key_at(0, i)[r] = tile[r * kTile + i];
      }
    }
  }
  return fits;
}

bool StoreF32(const AttentionInput& in, const AttentionSequence& s, int64_t first, int64_t count, int64_t head) {
  return StoreRowsAs<float>(in, s, first, count, head);
}
bool StoreF16(const AttentionInput& in, const AttentionSequence& s, int64_t first, int64_t count, int64_t head) {
  return StoreRowsAs<F16>(in, s, first, count, head);
}
bool StoreQ8(const AttentionInput& in, const AttentionSequence& s, int64_t first, int64_t count, int64_t head) {
  return StoreRowsAs<int8_t>(in, s, first, count, head);
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(StoreF32);
HWY_EXPORT(StoreF16);
HWY_EXPORT(StoreQ8);
}  // namespace

bool StoreRows(const AttentionInput& in, const AttentionSequence& sequence, int64_t first, int64_t count,
               int64_t head) {
  switch (in.cache.layout.dtype) {
    case DType::kF16:
      return HWY_DYNAMIC_DISPATCH(StoreF16)(in, sequence, first, count, head);
    case DType::kI8:
      return HWY_DYNAMIC_DISPATCH(StoreQ8)(in, sequence, first, count, head);
    default:
      return HWY_DYNAMIC_DISPATCH(StoreF32)(in, sequence, first, count, head);
  }
}

}  // namespace stablelm
#endif  // HWY_ONCE
