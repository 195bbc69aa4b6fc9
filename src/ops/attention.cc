#include "ops/attention.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "ops/attention_cpu.h"

namespace stablelm {
namespace {

template <typename T>
T StoredAs(float value) {
  if constexpr (std::is_same_v<T, float>) {
    return value;
  } else {
    return ToF16(value);
  }
}

// Writes one token's key and value of one head. False on overflow to infinity.
template <typename T>
bool StoreHead(const KvLayout& layout, std::byte* page, int64_t head, int64_t slot, const float* k, const float* v) {
  const int64_t dims = layout.head_dim, padded = layout.padded_dim();
  T* keys = reinterpret_cast<T*>(page) + layout.KeyOffset(head) + slot;
  T* values = reinterpret_cast<T*>(page) + layout.ValueOffset(head) + slot * padded;
  bool fits = true;
  for (int64_t i = 0; i < dims; ++i) {
    keys[i * kKvPageTokens] = StoredAs<T>(k[i]);
    values[i] = StoredAs<T>(v[i]);
    if constexpr (std::is_same_v<T, F16>) {
      // 65520 and above round to infinity; what was infinite or NaN before is found elsewhere.
      fits &=
          !((std::abs(k[i]) >= 65520.0f && std::isfinite(k[i])) || (std::abs(v[i]) >= 65520.0f && std::isfinite(v[i])));
    }
  }
  for (int64_t i = dims; i < padded; ++i) {
    keys[i * kKvPageTokens] = StoredAs<T>(0.0f);
    values[i] = StoredAs<T>(0.0f);
  }
  return fits;
}

}  // namespace

bool StoreKeysValues(const AttentionInput& in, ThreadPool& pool) {
  STABLELM_CHECK(in.qkv_layout.part_stride > 0 && in.qkv_layout.head_stride > 0);
  const int64_t heads = in.layout.n_heads, dims = in.layout.head_dim;
  std::atomic<bool> fits{true};
  for (const AttentionSequence& s : in.sequences) {
    const auto token = [&](size_t row, size_t) {
      const int64_t r = static_cast<int64_t>(row);
      const int64_t position = s.start + r;
      std::byte* page =
          in.layer_pages + static_cast<size_t>(s.pages[static_cast<size_t>(position / kKvPageTokens)]) * in.page_stride;
      bool ok = true;
      for (int64_t h = 0; h < heads; ++h) {
        float* row_qkv = in.qkv + (s.row_begin + r) * heads * 3 * dims;
        float* q = row_qkv + in.qkv_layout.Offset(0, h);
        float* k = row_qkv + in.qkv_layout.Offset(1, h);
        const float* v = row_qkv + in.qkv_layout.Offset(2, h);
        RotateInPlace(*in.rotary, position, q);
        RotateInPlace(*in.rotary, position, k);
        const int64_t slot = position % kKvPageTokens;
        ok &= in.layout.dtype == DType::kF16 ? StoreHead<F16>(in.layout, page, h, slot, k, v)
                                             : StoreHead<float>(in.layout, page, h, slot, k, v);
      }
      if (!ok) fits.store(false, std::memory_order_relaxed);
    };
    pool.ForEach(static_cast<size_t>(s.rows), token);
  }
  return fits.load();
}

void Attend(const AttentionInput& in, ThreadPool& pool, Workspace& workspace) {
  STABLELM_CHECK(in.layout.head_dim <= kMaxHeadDim);
  STABLELM_CHECK(in.layout.dtype == DType::kF32 || in.layout.dtype == DType::kF16);
  const int64_t heads = in.layout.n_heads;
  const auto groups_of = [](const AttentionSequence& s) {
    return (s.rows + kAttentionQueries - 1) / kAttentionQueries;
  };
  int64_t groups = 0;
  for (const AttentionSequence& s : in.sequences) groups += groups_of(s);
  // Task t: head t % H of group t / H; later groups have more keys, so they are handed out first.
  pool.ForEach(static_cast<size_t>(groups * heads), [&](size_t task, size_t worker) {
    int64_t group = groups - 1 - static_cast<int64_t>(task) / heads;
    const int64_t head = static_cast<int64_t>(task) % heads;
    const AttentionSequence* s = in.sequences.data();
    while (group >= groups_of(*s)) group -= groups_of(*s++);
    const int64_t first = group * kAttentionQueries;
    AttendQueries(in, *s, first, std::min(kAttentionQueries, s->rows - first), head, workspace.worker(worker));
  });
}

void AttendRef(const AttentionInput& in) {
  const int64_t heads = in.layout.n_heads, dims = in.layout.head_dim, padded = in.layout.padded_dim();
  const auto element = [&](const std::byte* page, int64_t index) {
    if (in.layout.dtype == DType::kF16) return static_cast<double>(ToFloat(reinterpret_cast<const F16*>(page)[index]));
    return static_cast<double>(reinterpret_cast<const float*>(page)[index]);
  };
  for (const AttentionSequence& s : in.sequences) {
    for (int64_t r = 0; r < s.rows; ++r) {
      const int64_t keys = s.start + r + 1;
      for (int64_t h = 0; h < heads; ++h) {
        const float* q = in.qkv + (s.row_begin + r) * heads * 3 * dims + in.qkv_layout.Offset(0, h);
        std::vector<double> p(static_cast<size_t>(keys)), out(static_cast<size_t>(dims));
        const auto page_of = [&](int64_t j) {
          return in.layer_pages + static_cast<size_t>(s.pages[static_cast<size_t>(j / kKvPageTokens)]) * in.page_stride;
        };
        double max = -INFINITY, sum = 0;
        for (int64_t j = 0; j < keys; ++j) {
          double dot = 0;
          for (int64_t i = 0; i < dims; ++i) {
            dot += static_cast<double>(q[i]) *
                   element(page_of(j), in.layout.KeyOffset(h) + i * kKvPageTokens + j % kKvPageTokens);
          }
          p[static_cast<size_t>(j)] = dot / std::sqrt(static_cast<double>(dims));
          max = std::max(max, p[static_cast<size_t>(j)]);
        }
        for (double& value : p) sum += value = std::exp(value - max);
        for (int64_t j = 0; j < keys; ++j) {
          for (int64_t i = 0; i < dims; ++i) {
            out[static_cast<size_t>(i)] +=
                p[static_cast<size_t>(j)] / sum *
                element(page_of(j), in.layout.ValueOffset(h) + j % kKvPageTokens * padded + i);
          }
        }
        for (int64_t i = 0; i < dims; ++i) {
          in.out[((s.row_begin + r) * heads + h) * dims + i] = static_cast<float>(out[static_cast<size_t>(i)]);
        }
      }
    }
  }
}

}  // namespace stablelm
