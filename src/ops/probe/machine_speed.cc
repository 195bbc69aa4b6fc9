#include "ops/probe/machine_speed.h"

#include <algorithm>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/stopwatch.h"
#include "base/system.h"
#include "ops/probe/machine_probe.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

constexpr size_t kStreamCounts[] = {1, 2, 4, 8};
constexpr struct {
  Prefetch distance;
  const char* name;
} kPrefetches[] = {{Prefetch::kNo, "no"}, {Prefetch::kNear, "near"}, {Prefetch::kFar, "far"}};
constexpr size_t kWays = std::size(kStreamCounts) * std::size(kPrefetches);

// Each thread reads its own part, which it wrote first, so that its pages are in memory near it.
class MemoryToRead {
 public:
  MemoryToRead(ThreadPool& pool, uint64_t bytes, bool huge_pages)
      : pool_(pool),
        part_((bytes / pool.NumThreads() + 4095) / 4096 * 4096),
        distance_(part_ + kReadSlack),
        mixes_(pool.NumThreads()) {
    const size_t total = distance_ * pool.NumThreads();
    if (total > AvailableMemory().bytes) {
      throw Error({.where = "`probe_size`",
                   .what = "does not fit into memory",
                   .found = HumanBytes(total),
                   .expected = "at most " + HumanBytes(AvailableMemory()),
                   .hint = "choose a smaller one"});
    }
    memory_ = AlignedBuffer<std::byte>(total, "the memory to read");
    if (!huge_pages) RefuseHugePages(memory_.data(), total);
    pool.RunOnAll([&](size_t worker) {
      std::byte* mine = memory_.data() + worker * distance_;
      for (size_t i = 0; i < distance_; ++i) mine[i] = static_cast<std::byte>(i * 167 + worker);
    });
  }

  uint64_t bytes() const { return part_ * pool_.NumThreads(); }

  double Seconds(size_t streams, Prefetch prefetch) {
    const auto start = Clock::now();
    pool_.RunOnAll([&](size_t worker) {
      mixes_[worker] ^= ReadStreams(memory_.data() + worker * distance_, part_, streams, prefetch);
    });
    return SecondsSince(start);
  }

 private:
  ThreadPool& pool_;
  size_t part_, distance_;
  std::vector<uint64_t> mixes_;
  AlignedBuffer<std::byte> memory_;
};

// `run` does `rounds` rounds on one thread and returns its number of operations.
template <class Run>
Samples MeasureRate(ThreadPool& pool, const ProbeOptions& options, Progress& progress, const Run& run) {
  std::vector<double> work(pool.NumThreads());
  const auto time = [&](size_t rounds) {
    const auto start = Clock::now();
    pool.RunOnAll([&](size_t worker) { work[worker] = run(rounds); });
    return SecondsSince(start);
  };
  size_t rounds = 1 << 16;
  double seconds = time(rounds);
  while (seconds < 0.02) seconds = time(rounds *= 2);  // also the warm-up
  rounds = std::max<size_t>(rounds, static_cast<size_t>(static_cast<double>(rounds) * 0.1 / seconds));
  std::vector<double> speeds;
  for (uint64_t sample = 0; sample < options.samples; ++sample) {
    options.before_sample();
    seconds = time(rounds);
    double done = 0;
    for (const double w : work) done += w;
    speeds.push_back(done / seconds * 1e-9);
    progress.Add(1);
  }
  return Summarize(speeds);
}

// Restores the SIMD target that was in use, also when a measurement is interrupted.
class TargetRestorer {
 public:
  explicit TargetRestorer(const std::string& target) : target_(target) {}
  TargetRestorer(const TargetRestorer&) = delete;
  TargetRestorer& operator=(const TargetRestorer&) = delete;
  ~TargetRestorer() { SelectSimdTarget(target_); }

 private:
  const std::string& target_;
};

ComputeSpeed MeasureTarget(ThreadPool& pool, const ProbeOptions& options, Progress& progress) {
  ComputeSpeed speed{.target = SimdTargetInUse(), .lanes = SimdLanes()};
  speed.fp32_gflops =
      MeasureRate(pool, options, progress, [](size_t rounds) { return RunMultiplyAdds(rounds).operations; });
  const auto where_there_is_one = [&](ProbeWork (*run)(size_t rounds)) {
    if (run(1).operations > 0) {
      return MeasureRate(pool, options, progress, [run](size_t rounds) { return run(rounds).operations; });
    }
    progress.Add(options.samples);
    return Samples{};
  };
  speed.bf16_gflops = where_there_is_one(RunBf16Products);
  speed.int8_gops = where_there_is_one(RunByteProducts);
  return speed;
}

}  // namespace

MemorySpeed MeasureMemory(ThreadPool& pool, uint64_t bytes, const ProbeOptions& options) {
  Progress progress("reading", 2 * kWays * (options.samples + 1), Progress::Unit::kItems, options.show_progress);
  MemorySpeed speed;
  for (const bool huge_pages : {false, true}) {
    MemoryToRead memory(pool, bytes, huge_pages);
    speed.bytes = memory.bytes();
    for (const size_t streams : kStreamCounts) {
      for (const auto& prefetch : kPrefetches) {
        std::vector<double> speeds;
        for (uint64_t sample = 0; sample <= options.samples; ++sample) {
          options.before_sample();
          const double seconds = memory.Seconds(streams, prefetch.distance);
          // The first sample is the warm-up.
          if (sample > 0) speeds.push_back(static_cast<double>(memory.bytes()) / seconds * 1e-9);
          progress.Add(1);
        }
        speed.ways.push_back({streams, prefetch.name, huge_pages, Summarize(speeds)});
      }
    }
  }
  progress.Finish();
  const auto slower = [](const ReadSpeed& a, const ReadSpeed& b) { return a.gb_per_s.median < b.gb_per_s.median; };
  speed.best = static_cast<size_t>(std::ranges::max_element(speed.ways, slower) - speed.ways.begin());
  return speed;
}

std::vector<ComputeSpeed> MeasureCompute(ThreadPool& pool, const ProbeOptions& options) {
  const std::string in_use = SimdTargetInUse();
  const TargetRestorer restorer(in_use);
  const std::vector<std::string> targets = UsableSimdTargets();
  Progress progress("multiplying", 3 * targets.size() * options.samples, Progress::Unit::kItems, options.show_progress);
  std::vector<ComputeSpeed> speeds;
  for (const std::string& target : targets) {
    SelectSimdTarget(target);
    speeds.push_back(MeasureTarget(pool, options, progress));
    speeds.back().in_use = target == in_use;
  }
  progress.Finish();
  return speeds;
}

ComputeSpeed MeasureComputeInUse(ThreadPool& pool, const ProbeOptions& options) {
  Progress silent("multiplying", 3 * options.samples, Progress::Unit::kItems, false);
  ComputeSpeed speed = MeasureTarget(pool, options, silent);
  speed.in_use = true;
  return speed;
}

}  // namespace stablelm
