// Gradients of one head of one document, chunk of keys by chunk of keys and, within a chunk, block of queries by block
// of queries. Each pair of chunk and block takes five products of matrices that are gathered into scratch, in the
// layouts that the products read. The gradients of a chunk's keys and values stay in scratch; those of the queries are
// added to their rows. Tiles above the diagonal are skipped.
//
// Heads of more than kSlab dimensions are processed in slabs of dimensions: the scores are summed over all slabs, then
// the slabs are gathered again for the gradients.
#include "ops/cpu/attention_backward_cpu.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention_backward_cpu.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "base/error.h"
#include "ops/cpu/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

constexpr size_t kLanes = hn::MaxLanes(DF());
// A tile of a product: 32 vector registers hold 24 sums, 4 vectors of one matrix and an element of the other; 16 hold
// 12, 2 and 1.
constexpr size_t kTileRows = 6;
constexpr size_t kTileVectors = HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON ? 4 : 2;

constexpr size_t RoundUp(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

constexpr size_t kSlab = 256;    // dimensions of a head that are in scratch at a time
constexpr size_t kQueries = 48;  // in a block
static_assert(kQueries % kTileRows == 0);
// A stride is a cache line more than a row, because rows a power of two apart would map to few sets of the L1 cache.
constexpr size_t kLine = 16;  // floats

// Where the matrices of a head are in a worker's scratch.
struct Scratch {
  Scratch(size_t head_dim, float* memory)
      // As many as fit: 256 to 64. Measured on a Zen 4, 64 dimensions and 512 tokens: 128 took 3.9 ms, 256 3.7 ms.
      : keys(kSlab * 64 / std::bit_ceil(std::clamp<size_t>(head_dim, 64, kSlab))),
        stride(RoundUp(std::min(head_dim, kSlab), kLine) + kLine),
        score_stride(keys + kLine) {
    float* next = memory;
    const auto take = [&](size_t rows, size_t columns) {
      float* const at = next;
      next += rows * columns;
      return at;
    };
    const size_t key_rows = RoundUp(keys, kTileRows);
    k = take(key_rows, stride);
    d_k = take(key_rows, stride);
    d_v = take(key_rows, stride);
    k_columns = take(stride, score_stride);
    v_columns = take(stride, score_stride);
    q = take(kQueries, stride);
    d_q = take(kQueries, stride);
    d_out = take(kQueries, stride);
    p = take(kQueries, score_stride);
    d_scores = take(kQueries, score_stride);
    used = static_cast<size_t>(next - memory);
  }

  size_t keys;  // in a chunk
  size_t stride, score_stride;
  size_t used = 0;
  float *k, *d_k, *d_v;          // [keys, stride]
  float *k_columns, *v_columns;  // [dimensions, score_stride]: dimension i of all keys is adjacent
  float *q, *d_q, *d_out;        // [kQueries, stride]
  float *p, *d_scores;           // [kQueries, score_stride]
};

// ------------------------------------------------------------------------------------------------- products

// c = a b, or c += a b, for kTileRows rows and V vectors of columns, summed over n. Element (m, i) of `a` is at
// a[m * a_stride + i], or a[i * a_stride + m] with kColumns.
template <bool kColumns, size_t V>
HWY_NOINLINE void Tile(const float* HWY_RESTRICT a, size_t a_stride, const float* HWY_RESTRICT b, size_t b_stride,
                       size_t n, bool add, float* HWY_RESTRICT c, size_t c_stride) {
  const DF d;
  VF sums[kTileRows][V];
  STABLELM_UNROLL for (size_t m = 0; m < kTileRows; ++m) {
    STABLELM_UNROLL for (size_t v = 0; v < V; ++v) sums[m][v] = hn::Zero(d);
  }
  for (size_t i = 0; i < n; ++i) {
    VF bv[V];
    STABLELM_UNROLL for (size_t v = 0; v < V; ++v) bv[v] = hn::LoadU(d, b + i * b_stride + v * kLanes);
    STABLELM_UNROLL for (size_t m = 0; m < kTileRows; ++m) {
      const VF x = hn::Set(d, kColumns ? a[i * a_stride + m] : a[m * a_stride + i]);
      STABLELM_UNROLL for (size_t v = 0; v < V; ++v) sums[m][v] = hn::MulAdd(x, bv[v], sums[m][v]);
    }
  }
  STABLELM_UNROLL for (size_t m = 0; m < kTileRows; ++m) {
    STABLELM_UNROLL for (size_t v = 0; v < V; ++v) {
      float* const to = c + m * c_stride + v * kLanes;
      hn::StoreU(add ? hn::Add(hn::LoadU(d, to), sums[m][v]) : sums[m][v], d, to);
    }
  }
}

struct Terms {
  size_t begin, end;
};

// The same for `rows` rows, rounded up to whole tiles, and `columns` columns, rounded up to whole vectors, where the
// tile of row m and column j is the sum of terms(m, j). A tile without terms is left as it is.
template <bool kColumns, typename TermsOf>
void Multiply(const float* a, size_t a_stride, const float* b, size_t b_stride, size_t rows, size_t columns,
              const TermsOf& terms, bool add, float* c, size_t c_stride) {
  const auto tiles_of_columns = [&]<size_t V>(size_t j) HWY_ATTR {
    for (size_t m = 0; m < rows; m += kTileRows) {
      const auto [begin, end] = terms(m, j);
      if (begin >= end) continue;
      Tile<kColumns, V>(a + (kColumns ? m + begin * a_stride : m * a_stride + begin), a_stride,
                        b + begin * b_stride + j, b_stride, end - begin, add, c + m * c_stride + j, c_stride);
    }
  };
  constexpr size_t kWide = kTileVectors * kLanes;
  size_t j = 0;
  for (; j + kWide <= RoundUp(columns, kLanes); j += kWide) tiles_of_columns.template operator()<kTileVectors>(j);
  for (; j < columns; j += kLanes) tiles_of_columns.template operator()<1>(j);
}

// ------------------------------------------------------------------------------------ gather and scatter

// Rows of a matrix in memory.
template <typename T>
struct Rows {
  T* data;
  size_t stride;
  T* operator[](size_t row) const { return data + row * stride; }
};

// Rows to scratch, with zeros up to whole tiles of rows and whole vectors of columns.
void GatherRows(Rows<const float> from, size_t rows, size_t columns, float* to, size_t stride) {
  const size_t padding = RoundUp(columns, kLanes) - columns;
  for (size_t r = 0; r < rows; ++r) {
    std::memcpy(to + r * stride, from[r], columns * sizeof(float));
    std::fill_n(to + r * stride + columns, padding, 0.0f);
  }
  for (size_t r = rows; r < RoundUp(rows, kTileRows); ++r) std::fill_n(to + r * stride, columns + padding, 0.0f);
}

// The same transposed: to[i * stride + r], with zeros up to whole vectors of rows.
void GatherColumns(Rows<const float> from, size_t rows, size_t columns, float* to, size_t stride) {
  constexpr size_t kBlock = 16;  // reads and writes within few cache lines
  for (size_t r0 = 0; r0 < rows; r0 += kBlock) {
    const size_t r_end = std::min(rows, r0 + kBlock);
    for (size_t i = 0; i < columns; ++i) {
      for (size_t r = r0; r < r_end; ++r) to[i * stride + r] = from[r][i];
    }
  }
  for (size_t i = 0; i < columns; ++i) std::fill_n(to + i * stride + rows, RoundUp(rows, kLanes) - rows, 0.0f);
}

// Rows of scratch to memory.
void ScatterRows(const float* from, size_t stride, size_t rows, size_t columns, bool add, Rows<float> to) {
  const DF d;
  for (size_t r = 0; r < rows; ++r) {
    const float* HWY_RESTRICT x = from + r * stride;
    float* HWY_RESTRICT y = to[r];
    if (!add) {
      std::memcpy(y, x, columns * sizeof(float));
      continue;
    }
    size_t i = 0;
    for (; i + kLanes <= columns; i += kLanes) {
      hn::StoreU(hn::Add(hn::LoadU(d, y + i), hn::LoadU(d, x + i)), d, y + i);
    }
    for (; i < columns; ++i) y[i] += x[i];
  }
}

// ------------------------------------------------------------------------------------------------- softmax

float Dot(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, size_t n) {
  const DF d;
  VF sum_v = hn::Zero(d);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) sum_v = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum_v);
  float sum = hn::GetLane(hn::SumOfLanes(d, sum_v));
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

struct QueryState {
  size_t seen;  // keys of the chunk
  float log_sum_exp, delta;
};

// Turns one query's q kᵀ into P, and its d_out vᵀ into dS, with zeros behind the keys that it sees up to a whole tile:
// products read no further, because blocks and tiles of queries start at multiples of a tile's rows.
void SoftmaxBackward(const QueryState& query, float score_scale, float* HWY_RESTRICT p, float* HWY_RESTRICT d_scores) {
  const DF d;
  const VF scale = hn::Set(d, score_scale), lse = hn::Set(d, query.log_sum_exp), delta = hn::Set(d, query.delta);
  const auto for_vector = [&](size_t j, const auto& seen) HWY_ATTR {
    const VF power = hn::MulSub(hn::LoadU(d, p + j), scale, lse);
    // Exp turns NaN into zero, which would hide it.
    const VF weight = hn::IfThenElse(hn::IsNaN(power), power, hn::Exp(d, power));
    const VF d_score = hn::Mul(hn::Mul(weight, scale), hn::Sub(hn::LoadU(d, d_scores + j), delta));
    hn::StoreU(seen(weight), d, p + j);
    hn::StoreU(seen(d_score), d, d_scores + j);
  };
  size_t j = 0;
  for (; j + kLanes <= query.seen; j += kLanes) for_vector(j, [](VF x) HWY_ATTR { return x; });
  if (j < query.seen) {
    const auto mask = hn::FirstN(d, query.seen - j);
    for_vector(j, [&](VF x) HWY_ATTR { return hn::IfThenElseZero(mask, x); });
    j += kLanes;
  }
  for (const size_t end = RoundUp(query.seen, kTileRows); j < end; ++j) p[j] = d_scores[j] = 0;
}

// ---------------------------------------------------------------------------------------------------- head

void BackwardOfHead(const AttentionBackwardInput& in, const AttentionSequence& document, int64_t head, float* memory) {
  const size_t dims = static_cast<size_t>(in.head_dim), width = static_cast<size_t>(in.n_heads) * dims;
  const size_t rows = static_cast<size_t>(document.rows), row0 = static_cast<size_t>(document.row_begin);
  const Scratch at(dims, memory);
  STABLELM_CHECK(at.used <= ExecutionContext::kWorkerFloats);
  const float score_scale = 1.0f / std::sqrt(static_cast<float>(dims));
  // The head's values in row r of the document, from dimension i on.
  const auto part = [&](int64_t index, size_t r, size_t i) -> Rows<const float> {
    return {in.qkv + (row0 + r) * 3 * width + in.qkv_layout.Offset(index, head) + i, 3 * width};
  };
  const auto d_part = [&](int64_t index, size_t r, size_t i) -> Rows<float> {
    return {in.d_qkv + (row0 + r) * 3 * width + in.qkv_layout.Offset(index, head) + i, 3 * width};
  };
  const auto of_head = [&](const float* values, size_t r, size_t i) -> Rows<const float> {
    return {values + (row0 + r) * width + static_cast<size_t>(head) * dims + i, width};
  };
  const bool whole = dims <= kSlab;  // one slab
  // Calls body(first dimension, dimensions).
  const auto for_slabs = [&](const auto& body) HWY_ATTR {
    for (size_t i = 0; i < dims; i += kSlab) body(i, std::min(kSlab, dims - i));
  };

  for (size_t k0 = 0; k0 < rows; k0 += at.keys) {
    const size_t chunk = std::min(at.keys, rows - k0);
    const auto gather_keys = [&](size_t i, size_t n) HWY_ATTR {
      GatherRows(part(1, k0, i), chunk, n, at.k, at.stride);
      GatherColumns(part(1, k0, i), chunk, n, at.k_columns, at.score_stride);
      GatherColumns(part(2, k0, i), chunk, n, at.v_columns, at.score_stride);
    };
    if (whole) {
      gather_keys(0, dims);
      std::fill_n(at.d_k, RoundUp(chunk, kTileRows) * at.stride, 0.0f);
      std::fill_n(at.d_v, RoundUp(chunk, kTileRows) * at.stride, 0.0f);
    } else {
      for (size_t r = k0; r < k0 + chunk; ++r) {
        std::fill_n(d_part(1, r, 0)[0], dims, 0.0f);
        std::fill_n(d_part(2, r, 0)[0], dims, 0.0f);
      }
    }
    for (size_t q0 = k0; q0 < rows; q0 += kQueries) {
      const size_t queries = std::min(kQueries, rows - q0);
      const size_t offset = q0 - k0;
      const size_t keys = std::min(chunk, offset + queries);  // seen by the last query
      // The last key that a tile of queries from q on sees.
      const auto last_seen = [&](size_t q) { return offset + q + kTileRows - 1; };
      const auto gather_queries = [&](size_t i, size_t n) HWY_ATTR {
        GatherRows(part(0, q0, i), queries, n, at.q, at.stride);
        GatherRows(of_head(in.d_out, q0, i), queries, n, at.d_out, at.stride);
      };
      for_slabs([&](size_t i, size_t n) HWY_ATTR {
        if (!whole) gather_keys(i, n);
        gather_queries(i, n);
        const auto terms = [&](size_t q, size_t key) -> Terms { return {0, key <= last_seen(q) ? n : 0}; };
        Multiply<false>(at.q, at.stride, at.k_columns, at.score_stride, queries, keys, terms, i > 0, at.p,
                        at.score_stride);
        Multiply<false>(at.d_out, at.stride, at.v_columns, at.score_stride, queries, keys, terms, i > 0, at.d_scores,
                        at.score_stride);
      });
      for (size_t q = 0; q < queries; ++q) {
        const QueryState state = {
            .seen = std::min(keys, offset + q + 1),
            .log_sum_exp =
                in.log_sum_exp[(row0 + q0 + q) * static_cast<size_t>(in.n_heads) + static_cast<size_t>(head)],
            .delta = Dot(of_head(in.d_out, q0, 0)[q], of_head(in.out, q0, 0)[q], dims)};
        SoftmaxBackward(state, score_scale, at.p + q * at.score_stride, at.d_scores + q * at.score_stride);
      }
      for_slabs([&](size_t i, size_t n) HWY_ATTR {
        if (!whole) {
          gather_keys(i, n);
          gather_queries(i, n);
        }
        const auto of_keys = [&](size_t key, size_t) -> Terms { return {key - std::min(key, offset), queries}; };
        const auto of_queries = [&](size_t q, size_t) -> Terms { return {0, std::min(keys, last_seen(q) + 1)}; };
        Multiply<true>(at.p, at.score_stride, at.d_out, at.stride, keys, n, of_keys, whole, at.d_v, at.stride);
        Multiply<true>(at.d_scores, at.score_stride, at.q, at.stride, keys, n, of_keys, whole, at.d_k, at.stride);
        Multiply<false>(at.d_scores, at.score_stride, at.k, at.stride, queries, n, of_queries, false, at.d_q,
                        at.stride);
        ScatterRows(at.d_q, at.stride, queries, n, k0 > 0, d_part(0, q0, i));
        if (!whole) {
          ScatterRows(at.d_k, at.stride, keys, n, true, d_part(1, k0, i));
          ScatterRows(at.d_v, at.stride, keys, n, true, d_part(2, k0, i));
        }
      });
    }
    if (whole) {
      ScatterRows(at.d_k, at.stride, chunk, dims, false, d_part(1, k0, 0));
      ScatterRows(at.d_v, at.stride, chunk, dims, false, d_part(2, k0, 0));
    }
  }
  for (size_t r = 0; r < rows; ++r) {
    RotateBackInPlace(*in.rotary, static_cast<int64_t>(r), d_part(0, r, 0)[0]);
    RotateBackInPlace(*in.rotary, static_cast<int64_t>(r), d_part(1, r, 0)[0]);
  }
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(BackwardOfHead);
}  // namespace

void AttentionBackwardHead(const AttentionBackwardInput& in, const AttentionSequence& document, int64_t head,
                           float* scratch) {
  HWY_DYNAMIC_DISPATCH(BackwardOfHead)(in, document, head, scratch);
}

}  // namespace stablelm
#endif  // HWY_ONCE
