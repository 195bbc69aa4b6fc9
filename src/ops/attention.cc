#include "ops/attention.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "ops/cpu/attention_cpu.h"

namespace stablelm {
namespace {

// Consecutive rows of a sequence that are in one page of the cache.
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

// Finds the sequence of part `index`, where parts are numbered across all sequences; `index` becomes the part's number
// within that sequence.
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

bool StoreKeysValues(const AttentionInput& in, ExecutionContext& exec) {
  STABLELM_CHECK(in.qkv_layout.part_stride > 0 && in.qkv_layout.head_stride > 0 && IsKvType(in.cache.layout.dtype));
  const int64_t heads = in.cache.layout.n_heads;
  std::atomic<bool> fits{true};
  exec.pool().ForEach(static_cast<size_t>(PartsOfAll(in, RunsOf) * heads), [&](size_t task, size_t) {
    int64_t index = static_cast<int64_t>(task) / heads;
    const AttentionSequence& s = SequenceOf(in, RunsOf, index);
    const Run run = RunOf(s, index);
    if (!StoreRows(in, s, run.first, run.count, static_cast<int64_t>(task) % heads)) {
      fits.store(false, std::memory_order_relaxed);
    }
  });
  return fits.load();
}

void Attend(const AttentionInput& in, ExecutionContext& exec) {
  STABLELM_CHECK(in.cache.layout.head_dim <= kMaxHeadDim && IsKvType(in.cache.layout.dtype));
  const int64_t heads = in.cache.layout.n_heads;
  int64_t most = MaxAttentionQueries(in.cache.layout.padded_dim());
  const auto groups_of = [&](const AttentionSequence& s) { return (s.rows + most - 1) / most; };
  // Few rows and many threads: smaller groups, so that all threads have work.
  const int64_t enough = 4 * static_cast<int64_t>(exec.pool().NumThreads());
  while (most > 4 && PartsOfAll(in, groups_of) * heads < enough) most /= 2;
  const int64_t groups = PartsOfAll(in, groups_of);
  // Task t: head t % H of group groups - 1 - t / H. Later groups have more keys, so they start first.
  const auto attend = [&](size_t task, size_t worker) {
    int64_t group = groups - 1 - static_cast<int64_t>(task) / heads;
    const AttentionSequence& s = SequenceOf(in, groups_of, group);
    const int64_t first = group * most;
    AttendQueries(in, s, first, std::min(most, s.rows - first), static_cast<int64_t>(task) % heads,
                  exec.worker_scratch(worker));
  };
  const size_t tasks = static_cast<size_t>(groups * heads);
  const auto one_row = [](const AttentionSequence& s) { return s.rows == 1; };
  if (std::all_of(in.sequences.begin(), in.sequences.end(), one_row)) {
    // Limited by memory: heads that follow each other are adjacent in every page.
    exec.pool().ForSteps(tasks, 1, [&](size_t begin, size_t end, size_t worker) {
      for (size_t task = begin; task < end; ++task) attend(task, worker);
    });
  } else {
    exec.pool().ForEach(tasks, attend);
  }
}

}  // namespace stablelm
