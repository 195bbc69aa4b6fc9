// Attention of a few queries of one head, in the order of arithmetic that ops/attention.h states.
#include "ops/attention_cpu.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/attention_cpu.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "ops/load_float-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

constexpr size_t kQ = static_cast<size_t>(kAttentionQueries);
constexpr size_t kChunk = static_cast<size_t>(kAttentionChunk);
constexpr size_t kPage = static_cast<size_t>(kKvPageTokens);

// scores[q][j] = dot(queries[q], key j of the page) for all kPage slots; slots without a key give garbage that is
// masked later.
template <typename T>
HWY_INLINE void PageScores(const float* HWY_RESTRICT queries, size_t dims, const std::byte* HWY_RESTRICT keys,
                           float* HWY_RESTRICT scores) {
  const DF d;
  constexpr size_t kLanes = hn::MaxLanes(DF());
  constexpr size_t kVectors = kPage / kLanes >= 2 ? 2 : 1;
  for (size_t j = 0; j < kPage; j += kVectors * kLanes) {
    VF acc[kQ][kVectors];
    for (size_t q = 0; q < kQ; ++q) {
      for (size_t v = 0; v < kVectors; ++v) acc[q][v] = hn::Zero(d);
    }
    for (size_t i = 0; i < dims; ++i) {
      VF k[kVectors];
      for (size_t v = 0; v < kVectors; ++v) k[v] = LoadFloats<T>(d, keys + (i * kPage + j + v * kLanes) * sizeof(T));
      for (size_t q = 0; q < kQ; ++q) {
        const VF x = hn::Set(d, queries[q * dims + i]);
        for (size_t v = 0; v < kVectors; ++v) acc[q][v] = hn::MulAdd(x, k[v], acc[q][v]);
      }
    }
    for (size_t q = 0; q < kQ; ++q) {
      for (size_t v = 0; v < kVectors; ++v) hn::Store(acc[q][v], d, scores + q * kChunk + j + v * kLanes);
    }
  }
}

// out[q] += sum over the page's first `count` values of weights[q][j] * value j.
template <typename T>
HWY_INLINE void AddPageValues(const float* HWY_RESTRICT weights, size_t count, const std::byte* HWY_RESTRICT values,
                              size_t dims, float* HWY_RESTRICT out) {
  const DF d;
  constexpr size_t kLanes = hn::MaxLanes(DF());
  constexpr size_t kVectors = kLanes >= 16 ? 1 : 2;  // dims is a multiple of 16
  for (size_t i = 0; i < dims; i += kVectors * kLanes) {
    VF acc[kQ][kVectors];
    for (size_t q = 0; q < kQ; ++q) {
      for (size_t v = 0; v < kVectors; ++v) acc[q][v] = hn::Load(d, out + q * dims + i + v * kLanes);
    }
    for (size_t j = 0; j < count; ++j) {
      VF value[kVectors];
      for (size_t v = 0; v < kVectors; ++v)
        value[v] = LoadFloats<T>(d, values + (j * dims + i + v * kLanes) * sizeof(T));
      for (size_t q = 0; q < kQ; ++q) {
        const VF w = hn::Set(d, weights[q * kChunk + j]);
        for (size_t v = 0; v < kVectors; ++v) acc[q][v] = hn::MulAdd(w, value[v], acc[q][v]);
      }
    }
    for (size_t q = 0; q < kQ; ++q) {
      for (size_t v = 0; v < kVectors; ++v) hn::Store(acc[q][v], d, out + q * dims + i + v * kLanes);
    }
  }
}

template <typename T>
void AttendQueriesOf(const AttentionInput& in, const AttentionSequence& s, int64_t first, int64_t count, int64_t head,
                     float* scratch) {
  const DF d;
  constexpr size_t kLanes = hn::MaxLanes(DF());
  const size_t dims = static_cast<size_t>(in.layout.padded_dim());
  const size_t head_dim = static_cast<size_t>(in.layout.head_dim);
  const size_t n_heads = static_cast<size_t>(in.layout.n_heads);
  float* const queries = scratch;          // [kQ, dims]
  float* const out = queries + kQ * dims;  // [kQ, dims]
  float* const scores = out + kQ * dims;   // [kQ, kChunk]
  std::fill(queries, scores, 0.0f);
  float max[kQ], sum[kQ];
  size_t keys[kQ];  // how many keys each query sees; absent queries see none
  const size_t row0 = static_cast<size_t>(s.row_begin + first);
  for (size_t q = 0; q < kQ; ++q) {
    max[q] = -std::numeric_limits<float>::infinity();
    sum[q] = 0;
    keys[q] = q < static_cast<size_t>(count) ? static_cast<size_t>(s.start + first) + q + 1 : 0;
    if (keys[q] == 0) continue;
    const float* from = in.qkv + (row0 + q) * n_heads * 3 * head_dim + in.qkv_layout.Offset(0, head);
    std::copy(from, from + head_dim, queries + q * dims);
  }
  const size_t all_keys = keys[count - 1];
  const VF scale = hn::Set(d, 1.0f / std::sqrt(static_cast<float>(head_dim)));
  const VF minus_infinity = hn::Set(d, -std::numeric_limits<float>::infinity());
  const auto page = [&](size_t position) {
    return in.layer_pages + static_cast<size_t>(s.pages[position / kPage]) * in.page_stride;
  };
  for (size_t begin = 0; begin < all_keys; begin += kChunk) {
    const size_t in_chunk = std::min(kChunk, all_keys - begin);
    const size_t whole_pages = (in_chunk + kPage - 1) / kPage * kPage;
    for (size_t j = 0; j < whole_pages; j += kPage) {
      PageScores<T>(queries, dims, page(begin + j) + static_cast<size_t>(in.layout.KeyOffset(head)) * sizeof(T),
                    scores + j);
    }
    for (size_t q = 0; q < kQ; ++q) {
      float* const row = scores + q * kChunk;
      const size_t valid = keys[q] > begin ? std::min(kChunk, keys[q] - begin) : 0;
      if (valid == 0) {
        std::fill(row, row + whole_pages, 0.0f);
        continue;
      }
      const auto end = hn::Set(d, static_cast<float>(valid));
      VF max_v = minus_infinity;
      for (size_t j = 0; j < whole_pages; j += kLanes) {
        const auto seen = hn::Lt(hn::Iota(d, static_cast<float>(j)), end);
        const VF score = hn::IfThenElse(seen, hn::Mul(hn::Load(d, row + j), scale), minus_infinity);
        hn::Store(score, d, row + j);
        max_v = hn::Max(max_v, score);
      }
      const float new_max = std::max(max[q], hn::GetLane(hn::MaxOfLanes(d, max_v)));
      const VF new_max_v = hn::Set(d, new_max);
      VF sum_v = hn::Zero(d);
      for (size_t j = 0; j < whole_pages; j += kLanes) {
        const VF score = hn::Load(d, row + j);
        const VF p =
            hn::IfThenElseZero(hn::Lt(hn::Iota(d, static_cast<float>(j)), end), hn::Exp(d, hn::Sub(score, new_max_v)));
        hn::Store(p, d, row + j);
        sum_v = hn::Add(sum_v, p);
      }
      const float rescale = max[q] == new_max ? 1.0f : std::exp(max[q] - new_max);
      sum[q] = sum[q] * rescale + hn::GetLane(hn::SumOfLanes(d, sum_v));
      max[q] = new_max;
      if (rescale != 1.0f) {
        for (size_t i = 0; i < dims; i += kLanes) {
          float* const o = out + q * dims + i;
          hn::Store(hn::Mul(hn::Load(d, o), hn::Set(d, rescale)), d, o);
        }
      }
    }
    for (size_t j = 0; j < in_chunk; j += kPage) {
      AddPageValues<T>(scores + j, std::min(kPage, in_chunk - j),
                       page(begin + j) + static_cast<size_t>(in.layout.ValueOffset(head)) * sizeof(T), dims, out);
    }
  }
  for (size_t q = 0; q < static_cast<size_t>(count); ++q) {
    const float inverse = 1.0f / sum[q];
    float* to = in.out + ((row0 + q) * n_heads + static_cast<size_t>(head)) * head_dim;
    for (size_t i = 0; i < head_dim; ++i) to[i] = out[q * dims + i] * inverse;
  }
}

void AttendF32(const AttentionInput& in, const AttentionSequence& s, int64_t first, int64_t count, int64_t head,
               float* scratch) {
  AttendQueriesOf<float>(in, s, first, count, head, scratch);
}
void AttendF16(const AttentionInput& in, const AttentionSequence& s, int64_t first, int64_t count, int64_t head,
               float* scratch) {
  AttendQueriesOf<F16>(in, s, first, count, head, scratch);
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(AttendF32);
HWY_EXPORT(AttendF16);
}  // namespace

void AttendQueries(const AttentionInput& in, const AttentionSequence& sequence, int64_t first, int64_t count,
                   int64_t head, float* scratch) {
  if (in.layout.dtype == DType::kF16) {
    HWY_DYNAMIC_DISPATCH(AttendF16)(in, sequence, first, count, head, scratch);
  } else {
    HWY_DYNAMIC_DISPATCH(AttendF32)(in, sequence, first, count, head, scratch);
  }
}

}  // namespace stablelm
#endif  // HWY_ONCE
