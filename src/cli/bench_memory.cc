// stablelm bench memory: how fast this machine reads memory, the speed that decoding is judged by.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/stopwatch.h"
#include "base/system.h"
#include "base/thread_pool.h"
#include "checkpoint/writer.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/sampling.h"
#include "ops/machine_probe.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

constexpr size_t kStreamCounts[] = {1, 2, 4, 8};
constexpr struct {
  Prefetch distance;
  const char* name;
} kPrefetches[] = {{Prefetch::kNo, "no"}, {Prefetch::kNear, "near"}, {Prefetch::kFar, "far"}};

struct Row {
  size_t streams;
  const char* prefetch;
  Samples gb_per_s;
};

class BenchMemory : public Command {
 public:
  std::string Name() const override { return "bench memory"; }
  std::string Summary() const override { return "Read bandwidth of this machine's memory"; }
  std::string Examples() const override {
    return "  stablelm bench memory\n"
           "  stablelm bench memory --threads 1 --size 4GiB --json";
  }
  unsigned Takes() const override { return kTakesThreads; }
  void AddOptions(CLI::App& app) override {
    AddValue(app, "--size", "SIZE", "Memory to read in each sample, all threads together (default: 1GiB)",
             [this](const std::string& text) { bytes_ = ParseByteSize(text, "--size"); });
    AddNumber(app, "--samples", samples_, Limits<uint64_t>{1, 1000},
              "Samples of each way to read; the median counts (default: 7)");
  }

  int Run(Output& out) override {
    const InterruptGuard guard;
    ThreadPool pool(common.threads);
    // Every thread reads a part of its own, which it has written first: its pages are near it.
    const size_t part = (bytes_ / common.threads + 4095) / 4096 * 4096;
    const size_t distance = part + kReadSlack;
    const size_t total = distance * common.threads;
    if (total > AvailableMemory()) {
      throw Error({.where = "--size",
                   .what = "does not fit into memory",
                   .found = HumanBytes(total),
                   .expected = "at most " + HumanBytes(AvailableMemory()),
                   .hint = {}});
    }
    AlignedBuffer<std::byte> memory(total, "the memory to read");
    pool.RunOnAll([&](size_t worker) {
      std::byte* mine = memory.data() + worker * distance;
      for (size_t i = 0; i < distance; ++i) mine[i] = static_cast<std::byte>(i * 167 + worker);
    });

    const std::vector<Row> rows = Measure(pool, memory, part, distance, out);
    Print(rows, part * common.threads, out);
    return kExitOk;
  }

 private:
  std::vector<Row> Measure(ThreadPool& pool, const AlignedBuffer<std::byte>& memory, size_t part, size_t distance,
                           Output& out) {
    Progress progress("reading", std::size(kStreamCounts) * std::size(kPrefetches) * (samples_ + 1),
                      Progress::Unit::kItems, out.show_progress());
    std::vector<Row> rows;
    std::vector<uint64_t> mixes(common.threads);
    for (const size_t streams : kStreamCounts) {
      for (const auto& prefetch : kPrefetches) {
        std::vector<double> speeds;
        for (size_t sample = 0; sample <= samples_; ++sample) {
          if (Interrupted()) throw InterruptedExit();
          const auto start = Clock::now();
          pool.RunOnAll([&](size_t worker) {
            mixes[worker] ^= ReadStreams(memory.data() + worker * distance, part, streams, prefetch.distance);
          });
          const double seconds = SecondsSince(start);
          // The first one warms up.
          if (sample > 0) speeds.push_back(static_cast<double>(part * common.threads) / seconds * 1e-9);
          progress.Add(1);
        }
        rows.push_back({streams, prefetch.name, Summarize(speeds)});
      }
    }
    return rows;
  }

  void Print(const std::vector<Row>& rows, size_t bytes, Output& out) {
    const Row* best = &rows.front();
    for (const Row& row : rows) {
      if (row.gb_per_s.median > best->gb_per_s.median) best = &row;
    }
    if (out.json()) {
      const auto json_row = [](const Row& row) {
        return nlohmann::ordered_json{{"streams", row.streams},
                                      {"prefetch", row.prefetch},
                                      {"gb_per_s", row.gb_per_s.median},
                                      {"min", row.gb_per_s.min},
                                      {"max", row.gb_per_s.max}};
      };
      nlohmann::ordered_json results = nlohmann::ordered_json::array();
      for (const Row& row : rows) results.push_back(json_row(row));
      out.Json({{"bench", "memory"},
                {"cpu", CpuModelName()},
                {"simd", SimdTargetInUse()},
                {"threads", common.threads},
                {"bytes", bytes},
                {"samples", samples_},
                {"results", results},
                {"best", json_row(*best)}});
      return;
    }
    char line[160];
    std::snprintf(line, sizeof line, "%s, %s, %llu threads, %s per sample, %llu samples\n", CpuModelName().c_str(),
                  SimdTargetInUse().c_str(), static_cast<unsigned long long>(common.threads), HumanBytes(bytes).c_str(),
                  static_cast<unsigned long long>(samples_));
    out.Text(line);
    out.Text("streams  prefetch    GB/s   (lowest to highest)\n");
    for (const Row& row : rows) {
      std::snprintf(line, sizeof line, "%7zu  %-8s  %6.2f   (%.2f to %.2f)%s\n", row.streams, row.prefetch,
                    row.gb_per_s.median, row.gb_per_s.min, row.gb_per_s.max, &row == best ? "  best" : "");
      out.Text(line);
    }
  }

  uint64_t bytes_ = uint64_t{1} << 30;
  uint64_t samples_ = 7;
};

}  // namespace

std::unique_ptr<Command> MakeBenchMemory() { return std::make_unique<BenchMemory>(); }

}  // namespace stablelm
