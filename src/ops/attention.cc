#include "ops/attention.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "ops/cpu/attention_cpu.h"

namespace stablelm {
namespace {

// Consecutive rows of a sequence that lie in one page of the cache.
struct Run {
  int64_t first = 0, count = 0;
};
int64_t RunsOf(const AttentionSequence& s) {
  return (s.start + s.rows - 1) / kKvPageTokens - s.start / kKvPageTokens + 1;
}
Run RunOf(const AttentionSequence& s, int64_t index) {
  const int64_t page = s.start / kKvPageTokens + index;
  const int64_t begin = std::max(s.start, page * kKvPageTokens);
  const int64_t end = std::min(s.start + s.rows, (page + 1) * kKvPageTokens);
  return {.first = begin - s.start, .count = end - begin};
}

// The sequence whose part `index` is, when the parts of all sequences are numbered through; `index` becomes its number
// among the parts of that sequence.
template <typename PartsOf>
const AttentionSequence& SequenceOf(const AttentionInput& in, const PartsOf& parts_of, int64_t& index) {
  const AttentionSequence* s = in.sequences.data();
  while (index >= parts_of(*s)) index -= parts_of(*s++);
  return *s;
}
template <typename PartsOf>
int64_t PartsOfAll(const AttentionInput& in, const PartsOf& parts_of) {
  int64_t parts = 0;
  for (const AttentionSequence& s : in.sequences) parts += parts_of(s);
  return parts;
}

}  // namespace

double Q8ScoreError(const KvLayout& layout, double key_scale, double query_sum, double query_largest) {
  const double of_query =
      127 * static_cast<double>(layout.padded_dim()) * kRoundingError * query_largest / QueryLevels(layout);
  return key_scale * (kQ8Error * query_sum + of_query) / std::sqrt(static_cast<double>(layout.head_dim));
}

bool StoreKeysValues(const AttentionInput& in, ThreadPool& pool) {
  STABLELM_CHECK(in.qkv_layout.part_stride > 0 && in.qkv_layout.head_stride > 0 && IsKvType(in.layout.dtype));
  const int64_t heads = in.layout.n_heads;
  std::atomic<bool> fits{true};
  pool.ForEach(static_cast<size_t>(PartsOfAll(in, RunsOf) * heads), [&](size_t task, size_t) {
    int64_t index = static_cast<int64_t>(task) / heads;
    const AttentionSequence& s = SequenceOf(in, RunsOf, index);
    const Run run = RunOf(s, index);
    if (!StoreRows(in, s, run.first, run.count, static_cast<int64_t>(task) % heads)) {
      fits.store(false, std::memory_order_relaxed);
    }
  });
  return fits.load();
}

void Attend(const AttentionInput& in, ThreadPool& pool, Workspace& workspace) {
  STABLELM_CHECK(in.layout.head_dim <= kMaxHeadDim && IsKvType(in.layout.dtype));
  const int64_t heads = in.layout.n_heads;
  int64_t most = MaxAttentionQueries(in.layout.padded_dim());
  const auto groups_of = [&](const AttentionSequence& s) { return (s.rows + most - 1) / most; };
  // Few rows and many threads: smaller groups, so that there is work for all.
  const int64_t enough = 4 * static_cast<int64_t>(pool.NumThreads());
  while (most > 4 && PartsOfAll(in, groups_of) * heads < enough) most /= 2;
  const int64_t groups = PartsOfAll(in, groups_of);
  // Task t: head t % H of group t / H; later groups have more keys, so they are handed out first.
  pool.ForEach(static_cast<size_t>(groups * heads), [&](size_t task, size_t worker) {
    int64_t group = groups - 1 - static_cast<int64_t>(task) / heads;
    const AttentionSequence& s = SequenceOf(in, groups_of, group);
    const int64_t first = group * most;
    AttendQueries(in, s, first, std::min(most, s.rows - first), static_cast<int64_t>(task) % heads,
                  workspace.worker(worker));
  });
}

void AttendRef(const AttentionInput& in) {
  const int64_t heads = in.layout.n_heads, dims = in.layout.head_dim;
  const size_t width = static_cast<size_t>(dims);
  for (const AttentionSequence& s : in.sequences) {
    for (int64_t h = 0; h < heads; ++h) {
      // Keys and values of the positions so far, [positions, D].
      const int64_t positions = s.start + s.rows;
      std::vector<float> keys(static_cast<size_t>(positions) * width), values(keys.size());
      for (int64_t j = 0; j < positions; ++j) {
        const std::byte* page =
            in.layer_pages + static_cast<size_t>(s.pages[static_cast<size_t>(j / kKvPageTokens)]) * in.page_stride;
        ReadKeyRef(in.layout, page, h, j % kKvPageTokens, keys.data() + j * dims);
        ReadValueRef(in.layout, page, h, j % kKvPageTokens, values.data() + j * dims);
      }
      for (int64_t r = 0; r < s.rows; ++r) {
        const int64_t seen = s.start + r + 1;
        const float* q = in.qkv + (s.row_begin + r) * heads * 3 * dims + in.qkv_layout.Offset(0, h);
        std::vector<double> p(static_cast<size_t>(seen)), out(width);
        double max = -INFINITY, sum = 0;
        for (int64_t j = 0; j < seen; ++j) {
          double dot = 0;
          for (int64_t i = 0; i < dims; ++i) {
            dot += static_cast<double>(q[i]) * static_cast<double>(keys[static_cast<size_t>(j * dims + i)]);
          }
          p[static_cast<size_t>(j)] = dot / std::sqrt(static_cast<double>(dims));
          max = std::max(max, p[static_cast<size_t>(j)]);
        }
        for (double& value : p) sum += value = std::exp(value - max);
        for (int64_t j = 0; j < seen; ++j) {
          for (int64_t i = 0; i < dims; ++i) {
            out[static_cast<size_t>(i)] +=
                p[static_cast<size_t>(j)] / sum * static_cast<double>(values[static_cast<size_t>(j * dims + i)]);
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
