// Attention of a few queries of one head, with the order of arithmetic that ops/attention.h defines.
//
// Processes page by page: the keys (or values) of a page are read from memory once and stay in the L1 cache for all
// queries of the task, which are processed in blocks of kBlock, 4, 3, 2 and 1 (ops/cpu/attention_products-inl.h).
#include "ops/cpu/attention_cpu.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention_cpu.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/cache_control.h>
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "ops/cpu/attention_products-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {

// Prefetch distance, in pages. The hardware prefetcher stops at every 4 KiB, which is a page of 8-bit keys of one head.
constexpr size_t kPrefetchPages = 8;
static_assert(kPrefetchPages <= kChunk / kPage);  // never reaches the values of the next chunk
constexpr size_t kMostQueries = static_cast<size_t>(MaxAttentionQueries(1));

// Larger blocks seldom wait for memory: the block of n queries from query q prefetches its share of a page, so that the
// blocks of all `count` queries prefetch it once.
HWY_INLINE void PrefetchPart(const std::byte* p, size_t q, size_t n, size_t count, size_t page_bytes) {
  const size_t lines = page_bytes / 64, end = lines * (q + n) / count;
  for (size_t line = lines * q / count; line < end; ++line) hwy::Prefetch(p + line * 64);
}

// Calls body.operator()<N>(first) for blocks of N queries that cover [0, count).
template <typename Body>
HWY_INLINE void ForBlocks(size_t count, const Body& body) {
  size_t q = 0;
  if constexpr (kBlock > 4) {
    for (; q + kBlock <= count; q += kBlock) body.template operator()<kBlock>(q);
  }
  for (; q + 4 <= count; q += 4) body.template operator()<4>(q);
  switch (count - q) {
    case 3:
      return body.template operator()<3>(q);
    case 2:
      return body.template operator()<2>(q);
    case 1:
      return body.template operator()<1>(q);
    default:
      return;
  }
}

// The running state of one query's softmax.
struct Softmax {
  float max = -std::numeric_limits<float>::infinity();
  float sum = 0;
};

// Turns the scores of `slots` slots of one chunk into weights; the first `valid` slots have a key, the others get zero.
// With 8-bit values, each weight is multiplied by the scale of its value, and the weights are rounded to integers;
// scale and offset of page p's integers go to integers[p * kMostQueries].
template <class Pages>
HWY_INLINE void SoftmaxChunk(float* HWY_RESTRICT row, size_t valid, size_t slots, float score_scale,
                             const HeadPage* values, Softmax& state, float* HWY_RESTRICT out, size_t dims,
                             Integers* integers) {
  const DF d;
  if (valid == 0) {
    std::fill(row, row + slots, 0.0f);
    for (size_t p = 0; p < slots / kPage; ++p) integers[p * kMostQueries] = {};
    return;
  }
  const VF scale = hn::Set(d, score_scale);
  const VF minus_infinity = hn::Set(d, -std::numeric_limits<float>::infinity());
  const auto end = hn::Set(d, static_cast<float>(valid));
  // Calls body(j, seen) for the vectors of slots; seen(x, other) keeps the lanes of x with a key and replaces the rest
  // by `other`.
  const auto for_vectors = [&](const auto& body) HWY_ATTR {
    size_t j = 0;
    for (; j + kLanes <= valid; j += kLanes) body(j, [](VF x, VF) HWY_ATTR { return x; });
    for (; j < slots; j += kLanes) {
      const auto mask = hn::Lt(hn::Iota(d, static_cast<float>(j)), end);
      body(j, [&](VF x, VF other) HWY_ATTR { return hn::IfThenElse(mask, x, other); });
    }
  };
  VF max_v = minus_infinity;
  for_vectors([&](size_t j, const auto& seen) HWY_ATTR {
    const VF score = seen(hn::Mul(hn::LoadU(d, row + j), scale), minus_infinity);
    hn::StoreU(score, d, row + j);
    max_v = hn::Max(max_v, score);
  });
  const float new_max = std::max(state.max, hn::GetLane(hn::MaxOfLanes(d, max_v)));
  const VF new_max_v = hn::Set(d, new_max);
  VF sum_v = hn::Zero(d);
  for_vectors([&](size_t j, const auto& seen) HWY_ATTR {
    const VF below = hn::Sub(hn::LoadU(d, row + j), new_max_v);
    // Exp turns NaN into zero, which would hide it.
    const VF power = hn::IfThenElse(hn::IsNaN(below), below, hn::Exp(d, below));
    VF p = seen(power, hn::Zero(d));
    sum_v = hn::Add(sum_v, p);
    if constexpr (Pages::kScaled) {
      p = seen(hn::Mul(p, hn::LoadU(d, values[j / kPage].scales + j % kPage)), hn::Zero(d));
    }
    hn::StoreU(p, d, row + j);
  });
  if constexpr (Pages::kScaled) {
    for (size_t p = 0; p < slots / kPage; ++p) {
      integers[p * kMostQueries] = Pages::Round(row + p * kPage, kPage, kWeightLevels);
    }
  }
  const float rescale = state.max == new_max ? 1.0f : std::exp(state.max - new_max);
  state.sum = state.sum * rescale + hn::GetLane(hn::SumOfLanes(d, sum_v));
  state.max = new_max;
  if (rescale != 1.0f) {
    for (size_t i = 0; i < dims; i += kLanes) {
      hn::StoreU(hn::Mul(hn::LoadU(d, out + i), hn::Set(d, rescale)), d, out + i);
    }
  }
}

template <class Pages>
void AttendQueriesOf(const AttentionInput& in, const AttentionSequence& s, int64_t first, int64_t count_of_rows,
                     int64_t head, float* HWY_RESTRICT scratch) {
  using T = typename Pages::Element;
  const size_t dims = static_cast<size_t>(in.cache.layout.padded_dim());
  const size_t head_dim = static_cast<size_t>(in.cache.layout.head_dim);
  const size_t n_heads = static_cast<size_t>(in.cache.layout.n_heads);
  const size_t count = static_cast<size_t>(count_of_rows);
  float* const queries = scratch;             // [count, dims]
  float* const out = queries + count * dims;  // [count, dims]
  float* const scores = out + count * dims;   // [count, kChunk]
  std::fill(queries, scores, 0.0f);
  Softmax softmax[kMostQueries];
  // For 8-bit keys and values: scale and offset of the queries, and of the weights in each page of a chunk.
  Integers query_integers[kMostQueries], weight_integers[kChunk / kPage][kMostQueries];
  const size_t row0 = static_cast<size_t>(s.row_begin + first);
  for (size_t q = 0; q < count; ++q) {
    const float* from = in.qkv + (row0 + q) * n_heads * 3 * head_dim + in.qkv_layout.Offset(0, head);
    std::copy(from, from + head_dim, queries + q * dims);
    if constexpr (Pages::kScaled)
      query_integers[q] = Pages::Round(queries + q * dims, dims, QueryLevels(in.cache.layout));
  }
  const auto keys_of = [&](size_t q) { return static_cast<size_t>(s.start + first) + q + 1; };
  const size_t all_keys = keys_of(count - 1);
  const float score_scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  const size_t all_pages = (all_keys + kPage - 1) / kPage;
  const auto page_at = [&](size_t p) -> const std::byte* {
    return in.cache.pages + static_cast<size_t>(s.pages[p]) * in.cache.stride;
  };
  const auto key_elements = [&](size_t p) {
    return page_at(p) + static_cast<size_t>(in.cache.layout.KeyOffset(head)) * sizeof(T);
  };
  for (size_t begin = 0; begin < all_keys; begin += kChunk) {
    HeadPage keys[kChunk / kPage], values[kChunk / kPage];
    const size_t begin_page = begin / kPage, next_page = begin_page + kChunk / kPage;
    const size_t pages = std::min(next_page, all_pages) - begin_page;
    for (size_t p = 0; p < pages; ++p) {
      const std::byte* page = page_at(begin_page + p);
      keys[p].elements = key_elements(begin_page + p);
      values[p].elements = page + static_cast<size_t>(in.cache.layout.ValueOffset(head)) * sizeof(T);
      if constexpr (Pages::kScaled) {
        keys[p].scales = in.cache.layout.KeyScales(page, head);
        values[p].scales = in.cache.layout.ValueScales(page, head);
        if (next_page + p < all_pages) {
          // Few bytes, but without prefetching each would stall.
          const std::byte* next = page_at(next_page + p);
          PrefetchLines<kPage * sizeof(float)>(
              reinterpret_cast<const std::byte*>(in.cache.layout.KeyScales(next, head)));
          PrefetchLines<kPage * sizeof(float)>(
              reinterpret_cast<const std::byte*>(in.cache.layout.ValueScales(next, head)));
        }
      }
    }
    // Prefetches pages in the order in which they are read: keys, values, keys of the next chunk.
    for (size_t p = 0; p < 2 * pages; ++p) {
      HeadPage& now = p < pages ? keys[p] : values[p - pages];
      const size_t soon = p + kPrefetchPages, next = next_page + soon - 2 * pages;
      if (soon < 2 * pages) {
        now.ahead = soon < pages ? keys[soon].elements : values[soon - pages].elements;
      } else {
        now.ahead = next < all_pages ? key_elements(next) : now.elements;
      }
    }
    // Number of keys of the chunk that query q sees.
    const auto valid = [&](size_t q) { return std::min(kChunk, keys_of(q) - std::min(keys_of(q), begin)); };
    // Few queries: several pages at the same time. Many: all queries for one page, then for the next.
    const size_t step = count <= 2 ? pages : 1;
    for (size_t p = 0; p < pages; p += step) {
      ForBlocks(count, [&]<size_t N>(size_t q) HWY_ATTR {
        const size_t seen = (valid(q + N - 1) + kPage - 1) / kPage;
        if (seen <= p) return;
        if constexpr (N > 2) PrefetchPart(keys[p].ahead, q, N, count, dims * kPage * sizeof(T));
        ForPages<Pages::ParallelPages(N)>(std::min(step, seen - p), [&]<size_t P>(size_t page) HWY_ATTR {
          Pages::template Scores<N, P>(queries + q * dims, query_integers + q, dims, keys + p + page,
                                       scores + q * kChunk + (p + page) * kPage);
        });
      });
    }
    ForBlocks(count, [&]<size_t N>(size_t first_of_block) HWY_ATTR {
      const size_t slots = (valid(first_of_block + N - 1) + kPage - 1) / kPage * kPage;
      for (size_t q = first_of_block; q < first_of_block + N; ++q) {
        SoftmaxChunk<Pages>(scores + q * kChunk, valid(q), slots, score_scale, values, softmax[q], out + q * dims, dims,
                            weight_integers[0] + q);
      }
    });
    for (size_t p = 0; p < pages; p += step) {
      ForBlocks(count, [&]<size_t N>(size_t q) HWY_ATTR {
        const size_t seen = valid(q + N - 1);
        if (seen <= p * kPage) return;
        if constexpr (N > 2) PrefetchPart(values[p].ahead, q, N, count, dims * kPage * sizeof(T));
        Pages::template AddValues<N>(scores + q * kChunk + p * kPage, weight_integers[p] + q, kMostQueries, values + p,
                                     std::min(step * kPage, seen - p * kPage), dims, out + q * dims);
      });
    }
  }
  for (size_t q = 0; q < count; ++q) {
    const float inverse = 1.0f / softmax[q].sum;
    float* to = in.out + ((row0 + q) * n_heads + static_cast<size_t>(head)) * head_dim;
    for (size_t i = 0; i < head_dim; ++i) to[i] = out[q * dims + i] * inverse;
    if (in.log_sum_exp != nullptr) {
      in.log_sum_exp[(row0 + q) * n_heads + static_cast<size_t>(head)] = softmax[q].max + std::log(softmax[q].sum);
    }
  }
}

void AttendF32(const AttentionInput& in, const AttentionSequence& s, int64_t first, int64_t count, int64_t head,
               float* scratch) {
  AttendQueriesOf<FloatPages<float>>(in, s, first, count, head, scratch);
}
void AttendF16(const AttentionInput& in, const AttentionSequence& s, int64_t first, int64_t count, int64_t head,
               float* scratch) {
  AttendQueriesOf<FloatPages<F16>>(in, s, first, count, head, scratch);
}
void AttendQ8(const AttentionInput& in, const AttentionSequence& s, int64_t first, int64_t count, int64_t head,
              float* scratch) {
#if STABLELM_HAS_DOT
  if (ByteDotsInUse()) return AttendQueriesOf<BytePages<QuantMultiply::kDot>>(in, s, first, count, head, scratch);
#endif
  constexpr QuantMultiply kWay = STABLELM_HAS_PAIRS ? QuantMultiply::kPairs : QuantMultiply::kPlain;
  AttendQueriesOf<BytePages<kWay>>(in, s, first, count, head, scratch);
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(AttendF32);
HWY_EXPORT(AttendF16);
HWY_EXPORT(AttendQ8);
}  // namespace

void AttendQueries(const AttentionInput& in, const AttentionSequence& sequence, int64_t first, int64_t count,
                   int64_t head, float* scratch) {
  switch (in.cache.layout.dtype) {
    case DType::kF16:
      return HWY_DYNAMIC_DISPATCH(AttendF16)(in, sequence, first, count, head, scratch);
    case DType::kI8:
      return HWY_DYNAMIC_DISPATCH(AttendQ8)(in, sequence, first, count, head, scratch);
    default:
      return HWY_DYNAMIC_DISPATCH(AttendF32)(in, sequence, first, count, head, scratch);
  }
}

}  // namespace stablelm
#endif  // HWY_ONCE
