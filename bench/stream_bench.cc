// How fast products of one row or a few read their weights from memory: as the maker of the processor has it, asking
// near and asking far (FarPrefetchInUse), beside reading alone. All take turns within one process, a pass of 15 to 30
// ms each, because the speed of memory changes by the minute. STABLELM_SIMD selects the target.
//
//   build/release/bench/stream_bench [TURNS] [ROWS] [MiB of weights]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/repeated_timing.h"
#include "base/stopwatch.h"
#include "base/system.h"
#include "ops/convert.h"
#include "ops/matmul.h"
#include "ops/probe/machine_probe.h"
#include "ops/quant/quant_row.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

constexpr int64_t kColumns = 4096;

PackedMatrix Weights(size_t bytes, DType type, Compute compute, ThreadPool& pool) {
  const int64_t rows = static_cast<int64_t>(bytes / BytesOf(type, kColumns)) / 64 * 64;
  std::vector<float> values(static_cast<size_t>(kColumns));
  for (size_t i = 0; i < values.size(); ++i) values[i] = 0.02f * static_cast<float>(i * 37 % 251) - 2.5f;
  AlignedBuffer<std::byte> stored(kPanelRows * BytesOf(type, kColumns), "weights");
  for (size_t r = 0; r < kPanelRows; ++r) {
    std::byte* const row = stored.data() + r * BytesOf(type, kColumns);
    if (IsQuantized(type)) {
      EncodeRow(type, values, {}, row);
    } else {
      ConvertFromFloat(values.data(), values.size(), type, row);
    }
  }
  PackedMatrix weights(type, rows, kColumns, "weights", compute);
  pool.ForEach(weights.panels(), [&](size_t p, size_t) { weights.Pack(p, stored.data()); });
  return weights;
}

// Medians of GB/s.
struct Speeds {
  double near = 0, far = 0, reading = 0;
};

struct Turns {
  size_t count = 0, bytes = 0;  // bytes of weights
  int64_t rows = 0;
};

Speeds Measure(DType type, Compute compute, const Turns& turns, ThreadPool& pool) {
  const int64_t rows = turns.rows;
  const PackedMatrix weights = Weights(turns.bytes, type, compute, pool);
  const size_t n = weights.rows();
  ExecutionContext exec(pool, static_cast<size_t>(rows), static_cast<size_t>(kColumns));
  std::vector<float> x(static_cast<size_t>(rows * kColumns), 0.5f), y(static_cast<size_t>(rows) * n);
  const size_t threads = pool.NumThreads(), part = (turns.bytes / threads + 4095) / 4096 * 4096;
  AlignedBuffer<std::byte> memory((part + kReadSlack) * threads, "memory to read");
  std::fill(memory.span().begin(), memory.span().end(), std::byte{1});

  const auto gb_per_s = [](size_t bytes, const auto& pass) {
    const auto start = Clock::now();
    pass();
    return static_cast<double>(bytes) * 1e-9 / SecondsSince(start);
  };
  const auto product = [&](bool far) {
    SelectFarPrefetch(far);
    return gb_per_s(n * BytesOf(type, kColumns),
                    [&] { MatMul({.x = x.data(), .m = rows, .w = &weights, .bias = nullptr, .y = y.data()}, exec); });
  };
  std::vector<uint64_t> mixes(threads);
  const auto reading = [&](size_t streams, Prefetch prefetch) {
    return gb_per_s(part * threads, [&] {
      pool.RunOnAll([&](size_t worker) {
        mixes[worker] ^= ReadStreams(memory.data() + worker * (part + kReadSlack), part, streams, prefetch);
      });
    });
  };

  size_t best_streams = 1;
  Prefetch best_prefetch = Prefetch::kNo;
  double best = 0;
  for (const size_t streams : std::initializer_list<size_t>{1, 2, 4, 8}) {
    for (const Prefetch prefetch : {Prefetch::kNo, Prefetch::kNear, Prefetch::kFar}) {
      std::vector<double> some;
      for (size_t i = 0; i < 5; ++i) some.push_back(reading(streams, prefetch));
      const double speed = Summarize(some).median;
      if (speed > best) best = speed, best_streams = streams, best_prefetch = prefetch;
    }
  }
  std::vector<double> near, far, read;
  for (size_t turn = 0; turn < turns.count; ++turn) {
    near.push_back(product(false));
    far.push_back(product(true));
    read.push_back(reading(best_streams, best_prefetch));
  }
  SelectFarPrefetch({});
  return {.near = Summarize(near).median, .far = Summarize(far).median, .reading = Summarize(read).median};
}

void Run(const Turns& turns) {
  ThreadPool pool(PhysicalCores());
  std::printf("%s, %zu threads, %lld rows; asks %s here\n", SimdTargetInUse().c_str(), pool.NumThreads(),
              static_cast<long long>(turns.rows), FarPrefetchInUse() ? "far" : "near");
  std::printf("%-10s %9s %9s %9s\n", "GB/s", "near", "far", "reading");
  const auto show = [&](const char* name, DType type, Compute compute) {
    const Speeds s = Measure(type, compute, turns, pool);
    std::printf("%-10s %5.1f %3.0f%% %5.1f %3.0f%% %5.1f\n", name, s.near, 100 * s.near / s.reading, s.far,
                100 * s.far / s.reading, s.reading);
    std::fflush(stdout);
  };
  for (const DType type :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ6_K, DType::kQ5_K, DType::kQ4_K, DType::kQ4_0}) {
    show(std::string(NameOf(type)).c_str(), type, Compute::kExact);
  }
  show("bf16 fast", DType::kBF16, Compute::kFast);
}

}  // namespace
}  // namespace stablelm

int main(int argc, char** argv) {
  const char* const simd = std::getenv("STABLELM_SIMD");
  stablelm::SelectSimdTarget(simd != nullptr ? simd : "");
  const auto argument = [&](int i, unsigned long otherwise) {
    return argc > i ? std::strtoul(argv[i], nullptr, 10) : otherwise;
  };
  // 512 MiB: more than the caches hold.
  stablelm::Run(
      {.count = argument(1, 25), .bytes = argument(3, 512) << 20, .rows = static_cast<int64_t>(argument(2, 1))});
}
