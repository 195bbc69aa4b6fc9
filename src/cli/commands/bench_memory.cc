// stablelm bench memory: the machine's memory read bandwidth, the bound for decoding.
#include <cstdio>

#include "base/error.h"
#include "base/json_value.h"
#include "base/system.h"
#include "base/thread_pool.h"
#include "checkpoint/huggingface/writer.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"
#include "cli/commands/bench_text.h"
#include "ops/probe/machine_speed.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

const char* PagesOf(const ReadSpeed& way) { return way.huge_pages ? "huge" : "4KiB"; }

JsonValue JsonOf(const ReadSpeed& way) {
  return {{"pages", PagesOf(way)},           {"streams", way.streams},  {"prefetch", way.prefetch},
          {"gb_per_s", way.gb_per_s.median}, {"min", way.gb_per_s.min}, {"max", way.gb_per_s.max}};
}

constexpr uint64_t kLeastBytes = 1 << 20;

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
             [this](const std::string& text) {
               bytes_ = ParseByteSize(text, "--size");
               if (bytes_ < kLeastBytes) {
                 throw UsageError({.where = "--size",
                                   .what = "too little to measure",
                                   .found = Quoted(text),
                                   .expected = "at least 1MiB, and more than the caches hold"});
               }
             });
    AddNumber(app, "--samples", samples_, Limits<uint64_t>{1, 1000},
              "Samples of each way to read; the median counts (default: 7)");
  }

  int Run(Output& out) override {
    const InterruptGuard guard;
    ThreadPool pool(common.threads);
    Print(
        MeasureMemory(pool, bytes_,
                      {.samples = samples_, .show_progress = out.show_progress(), .before_sample = ThrowIfInterrupted}),
        out);
    return kExitOk;
  }

 private:
  void Print(const MemorySpeed& speed, Output& out) {
    const ReadSpeed& best = speed.ways[speed.best];
    if (out.json()) {
      JsonValue results = JsonValue::Array();
      for (const ReadSpeed& way : speed.ways) results.push_back(JsonOf(way));
      out.Json({{"bench", "memory"},
                {"cpu", CpuModelName()},
                {"simd", SimdTargetInUse()},
                {"threads", common.threads},
                {"bytes", speed.bytes},
                {"samples", samples_},
                {"results", results},
                {"best", JsonOf(best)}});
      return;
    }
    char line[160];
    std::snprintf(line, sizeof line, "%s, %s, %s, %s per sample, %llu samples\n", CpuModelName().c_str(),
                  SimdTargetInUse().c_str(), ThreadsText(common.threads).c_str(), HumanBytes(speed.bytes).c_str(),
                  static_cast<unsigned long long>(samples_));
    out.Text(line);
    out.Text("pages  streams  prefetch    GB/s   (lowest to highest)\n");
    for (const ReadSpeed& way : speed.ways) {
      std::snprintf(line, sizeof line, "%-5s  %7zu  %-8s  %6.2f   (%.2f to %.2f)%s\n", PagesOf(way), way.streams,
                    way.prefetch, way.gb_per_s.median, way.gb_per_s.min, way.gb_per_s.max,
                    &way == &best ? "  best" : "");
      out.Text(line);
    }
  }

  uint64_t bytes_ = uint64_t{1} << 30;
  uint64_t samples_ = 7;
};

}  // namespace

std::unique_ptr<Command> MakeBenchMemory() { return std::make_unique<BenchMemory>(); }

}  // namespace stablelm
