#include "model/context_shift.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "ops/kv_page.h"

namespace stablelm {
namespace {

constexpr int64_t kPage = kKvPageTokens;

template <typename T>
T RoundedTo(float value, bool& fits) {
  if constexpr (std::is_same_v<T, float>) {
    return value;
  } else {
    fits &= !(std::abs(value) >= 65520.0f && std::isfinite(value));  // ToF16 would round it to infinity
    return ToF16(value);
  }
}

// Consecutive tokens that share one page before the shift and one page after it.
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

// Rotates the keys of one head back by `dropped` positions. from_page and to_page may be the same page. Each key is
// decoded, rotated and encoded again, so the scale of an 8-bit key, which follows its largest component, may change.
bool TurnKeysRef(const KvLayout& layout, const std::byte* from_page, std::byte* to_page, int64_t head, const Run& run,
                 const RotaryTable& rotary, int64_t dropped) {
  std::vector<float> key(static_cast<size_t>(layout.head_dim));
  bool fits = true;
  for (int64_t j = 0; j < run.count; ++j) {
    ReadKeyRef(layout, from_page, head, run.from % kPage + j, key.data());
    RotateBackInPlace(rotary, dropped, key.data());
    fits &= WriteKeyRef(layout, to_page, head, run.to % kPage + j, key.data());
  }
  return fits;
}
// TurnKeysRef for fp32 and fp16, dimension by dimension.
template <typename T>
bool TurnKeys(const KvLayout& layout, const std::byte* from_page, std::byte* to_page, int64_t head, const Run& run,
              const RotaryTable& rotary, int64_t dropped) {
  const int64_t padded = layout.padded_dim(), half = rotary.rotary_dims() / 2;
  const float* cos = rotary.Cos(dropped);
  const float* sin = rotary.Sin(dropped);
  const T* from = reinterpret_cast<const T*>(from_page) + layout.KeyOffset(head) + run.from % kPage;
  T* to = reinterpret_cast<T*>(to_page) + layout.KeyOffset(head) + run.to % kPage;
  bool fits = true;
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
      to_a[j] = RoundedTo<T>(a[j] * cos[i] + b[j] * sin[i], fits);
      to_b[j] = RoundedTo<T>(b[j] * cos[i] - a[j] * sin[i], fits);
    }
  }
  const size_t bytes = static_cast<size_t>(run.count) * sizeof(T);
  for (int64_t i = 2 * half; i < padded; ++i) std::memmove(to + i * kPage, from + i * kPage, bytes);
  return fits;
}

// Moves the values of one head unchanged.
void MoveValues(const KvLayout& layout, const std::byte* from_page, std::byte* to_page, int64_t head, const Run& run) {
  if (layout.scaled()) {
    for (int64_t j = 0; j < run.count; ++j) {
      for (int64_t i = 0; i < layout.padded_dim(); ++i) {
        to_page[layout.ValueIndex(head, run.to % kPage + j, i)] =
            from_page[layout.ValueIndex(head, run.from % kPage + j, i)];
      }
    }
    std::memmove(layout.ValueScales(to_page, head) + run.to % kPage,
                 layout.ValueScales(from_page, head) + run.from % kPage,
                 static_cast<size_t>(run.count) * sizeof(float));
    return;
  }
  const int64_t width = static_cast<int64_t>(BytesOf(layout.dtype));
  std::memmove(to_page + layout.ValueIndex(head, run.to % kPage, 0) * width,
               from_page + layout.ValueIndex(head, run.from % kPage, 0) * width,
               static_cast<size_t>(run.count * layout.padded_dim() * width));
}

std::byte* PageOf(const KvSequence& sequence, int64_t layer, int64_t position) {
  KvCache& cache = sequence.cache();
  const int32_t page = sequence.pages()[static_cast<size_t>(position / kPage)];
  return cache.Layer(layer).Page(page);
}

// Runs are in ascending order and each is read before it is written, so no token is overwritten before it is read.
bool ShiftHead(const KvSequence& sequence, int64_t layer, int64_t head, std::span<const Run> runs,
               const RotaryTable& rotary, int64_t dropped) {
  const KvLayout& layout = sequence.cache().layout();
  const auto turn = layout.dtype == DType::kF16  ? TurnKeys<F16>
                    : layout.dtype == DType::kI8 ? TurnKeysRef
                                                 : TurnKeys<float>;
  bool fits = true;
  for (const Run& run : runs) {
    const std::byte* from = PageOf(sequence, layer, run.from);
    std::byte* to = PageOf(sequence, layer, run.to);
    fits &= turn(layout, from, to, head, run, rotary, dropped);
    MoveValues(layout, from, to, head, run);
  }
  return fits;
}

bool ShiftHeadRef(const KvSequence& sequence, int64_t layer, int64_t head, int64_t keep, int64_t dropped,
                  const RotaryTable& rotary) {
  const KvLayout& layout = sequence.cache().layout();
  bool fits = true;
  for (int64_t from = keep + dropped; from < sequence.length(); ++from) {
    const Run run = {.from = from, .to = from - dropped, .count = 1};
    const std::byte* from_page = PageOf(sequence, layer, run.from);
    std::byte* to_page = PageOf(sequence, layer, run.to);
    fits &= TurnKeysRef(layout, from_page, to_page, head, run, rotary, dropped);
    MoveValues(layout, from_page, to_page, head, run);
  }
  return fits;
}

void Prepare(KvSequence& sequence, int64_t keep, int64_t dropped) {
  STABLELM_CHECK(keep >= 0 && dropped >= 1 && keep <= sequence.length() - dropped);
  sequence.OwnPages(keep, sequence.length() - dropped);
}

void Finish(KvSequence& sequence, int64_t keep, int64_t dropped, bool fits) {
  if (fits) return sequence.Truncate(sequence.length() - dropped);
  sequence.Truncate(keep);
  throw Error({.where = "context shift",
               .what = "a key is too large for an fp16 cache (beyond 65504)",
               .hint = "run with `cache=fp32`"});
}

}  // namespace

void ShiftContext(KvSequence& sequence, int64_t keep, int64_t dropped, const RotaryTable& rotary, ThreadPool& pool) {
  Prepare(sequence, keep, dropped);
  const KvCache& cache = sequence.cache();
  const KvLayout& layout = cache.layout();
  const std::vector<Run> runs = RunsOf(keep, dropped, sequence.length());
  std::atomic<bool> fits{true};
  if (!runs.empty()) {
    pool.ForEach(static_cast<size_t>(cache.n_layers() * layout.n_heads), [&](size_t task, size_t) {
      const int64_t layer = static_cast<int64_t>(task) / layout.n_heads;
      const int64_t head = static_cast<int64_t>(task) % layout.n_heads;
      if (!ShiftHead(sequence, layer, head, runs, rotary, dropped)) fits.store(false, std::memory_order_relaxed);
    });
  }
  Finish(sequence, keep, dropped, fits.load());
}

void ShiftContextRef(KvSequence& sequence, int64_t keep, int64_t dropped, const RotaryTable& rotary) {
  Prepare(sequence, keep, dropped);
  const KvLayout& layout = sequence.cache().layout();
  bool fits = true;
  for (int64_t layer = 0; layer < sequence.cache().n_layers(); ++layer) {
    for (int64_t head = 0; head < layout.n_heads; ++head) {
      fits &= ShiftHeadRef(sequence, layer, head, keep, dropped, rotary);
    }
  }
  Finish(sequence, keep, dropped, fits);
}

}  // namespace stablelm
