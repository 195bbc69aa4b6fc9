#include "model/context_shift.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace stablelm {
namespace {

constexpr int64_t kPage = kKvPageTokens;

template <typename T>
T Stored(float value, bool& fits) {
  if constexpr (std::is_same_v<T, float>) {
    return value;
  } else {
    fits &= !(std::abs(value) >= 65520.0f && std::isfinite(value));  // would round to infinity
    return ToF16(value);
  }
}

// Consecutive positions that lie in one page before and in one page after.
struct Run {
  int64_t from = 0, to = 0, count = 0;
};
std::vector<Run> RunsOf(int64_t keep, int64_t dropped, int64_t length) {
  std::vector<Run> runs;
  for (int64_t from = keep + dropped; from < length;) {
    const int64_t to = from - dropped;
    const int64_t count = std::min({kPage - from % kPage, kPage - to % kPage, length - from});
    runs.push_back({.from = from, .to = to, .count = count});
    from += count;
  }
  return runs;
}

// Positions go up, and a run is read before it is written, so nothing is overwritten that is still to be read.
template <typename T>
bool ShiftHead(const KvSequence& sequence, int64_t layer, int64_t head, std::span<const Run> runs,
               const RotaryTable& rotary, int64_t dropped) {
  KvCache& cache = sequence.cache();
  const KvLayout& layout = cache.layout();
  const int64_t padded = layout.padded_dim(), half = rotary.rotary_dims() / 2;
  const float* cos = rotary.Cos(dropped);
  const float* sin = rotary.Sin(dropped);
  const auto page = [&](int64_t position) {
    return reinterpret_cast<T*>(cache.LayerPages(layer) +
                                static_cast<size_t>(sequence.pages()[static_cast<size_t>(position / kPage)]) *
                                    cache.page_stride());
  };
  bool fits = true;
  for (const Run& run : runs) {
    const size_t bytes = static_cast<size_t>(run.count) * sizeof(T);
    const T* from = page(run.from) + layout.KeyOffset(head) + run.from % kPage;
    T* to = page(run.to) + layout.KeyOffset(head) + run.to % kPage;
    for (int64_t i = 0; i < half; ++i) {
      const T* from_a = from + i * kPage;
      const T* from_b = from + (i + half) * kPage;
      float a[kPage], b[kPage];
      for (int64_t j = 0; j < run.count; ++j) {
        a[j] = ToFloat(from_a[j]);
        b[j] = ToFloat(from_b[j]);
      }
      T* to_a = to + i * kPage;
      T* to_b = to + (i + half) * kPage;
      for (int64_t j = 0; j < run.count; ++j) {
        to_a[j] = Stored<T>(a[j] * cos[i] + b[j] * sin[i], fits);
        to_b[j] = Stored<T>(b[j] * cos[i] - a[j] * sin[i], fits);
      }
    }
    for (int64_t i = 2 * half; i < padded; ++i) std::memmove(to + i * kPage, from + i * kPage, bytes);
    std::memmove(page(run.to) + layout.ValueOffset(head) + run.to % kPage * padded,
                 page(run.from) + layout.ValueOffset(head) + run.from % kPage * padded,
                 bytes * static_cast<size_t>(padded));
  }
  return fits;
}

template <typename T>
bool ShiftHeadRef(const KvSequence& sequence, int64_t layer, int64_t head, int64_t keep, int64_t dropped,
                  const RotaryTable& rotary) {
  KvCache& cache = sequence.cache();
  const KvLayout& layout = cache.layout();
  const auto key = [&](int64_t position, int64_t dim) -> T& {
    const auto page = static_cast<size_t>(sequence.pages()[static_cast<size_t>(position / kPage)]);
    return reinterpret_cast<T*>(cache.LayerPages(layer) +
                                page * cache.page_stride())[layout.KeyOffset(head) + dim * kPage + position % kPage];
  };
  const auto value = [&](int64_t position, int64_t dim) -> T& {
    const auto page = static_cast<size_t>(sequence.pages()[static_cast<size_t>(position / kPage)]);
    return reinterpret_cast<T*>(
        cache.LayerPages(layer) +
        page * cache.page_stride())[layout.ValueOffset(head) + position % kPage * layout.padded_dim() + dim];
  };
  bool fits = true;
  std::vector<float> k(static_cast<size_t>(layout.head_dim));
  for (int64_t from = keep + dropped; from < sequence.length(); ++from) {
    const int64_t to = from - dropped;
    for (int64_t i = 0; i < layout.head_dim; ++i) k[static_cast<size_t>(i)] = ToFloat(key(from, i));
    RotateBackInPlace(rotary, dropped, k.data());
    for (int64_t i = 0; i < layout.head_dim; ++i) {
      key(to, i) = Stored<T>(k[static_cast<size_t>(i)], fits);
      value(to, i) = value(from, i);
    }
  }
  return fits;
}

void Prepare(KvSequence& sequence, int64_t keep, int64_t dropped) {
  STABLELM_CHECK(keep >= 0 && dropped >= 1 && keep <= sequence.length() - dropped);
  const DType dtype = sequence.cache().layout().dtype;
  STABLELM_CHECK(dtype == DType::kF32 || dtype == DType::kF16);
  sequence.OwnPages(keep, sequence.length() - dropped);
}

void Finish(KvSequence& sequence, int64_t keep, int64_t dropped, bool fits) {
  if (fits) return sequence.Truncate(sequence.length() - dropped);
  sequence.Truncate(keep);
  throw Error({.where = "context shift",
               .what = "a key is too large for an fp16 cache (beyond 65504)",
               .found = {},
               .expected = {},
               .hint = "run with `cache=fp32`"});
}

}  // namespace

void ShiftContext(KvSequence& sequence, int64_t keep, int64_t dropped, const RotaryTable& rotary, ThreadPool& pool) {
  Prepare(sequence, keep, dropped);
  const KvCache& cache = sequence.cache();
  const KvLayout& layout = cache.layout();
  const std::vector<Run> runs = RunsOf(keep, dropped, sequence.length());
  std::atomic<bool> fits{true};
  if (!runs.empty())
    pool.ForEach(static_cast<size_t>(cache.n_layers() * layout.n_heads), [&](size_t task, size_t) {
      const int64_t layer = static_cast<int64_t>(task) / layout.n_heads;
      const int64_t head = static_cast<int64_t>(task) % layout.n_heads;
      const bool ok = layout.dtype == DType::kF16 ? ShiftHead<F16>(sequence, layer, head, runs, rotary, dropped)
                                                  : ShiftHead<float>(sequence, layer, head, runs, rotary, dropped);
      if (!ok) fits.store(false, std::memory_order_relaxed);
    });
  Finish(sequence, keep, dropped, fits.load());
}

void ShiftContextRef(KvSequence& sequence, int64_t keep, int64_t dropped, const RotaryTable& rotary) {
  Prepare(sequence, keep, dropped);
  const KvLayout& layout = sequence.cache().layout();
  bool fits = true;
  for (int64_t layer = 0; layer < sequence.cache().n_layers(); ++layer) {
    for (int64_t head = 0; head < layout.n_heads; ++head) {
      fits &= layout.dtype == DType::kF16 ? ShiftHeadRef<F16>(sequence, layer, head, keep, dropped, rotary)
                                          : ShiftHeadRef<float>(sequence, layer, head, keep, dropped, rotary);
    }
  }
  Finish(sequence, keep, dropped, fits);
}

}  // namespace stablelm
