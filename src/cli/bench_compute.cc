// stablelm bench compute: the fp32 multiply-add peak of this machine, the speed that prefill is judged by.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/progress.h"
#include "base/stopwatch.h"
#include "base/system.h"
#include "base/thread_pool.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/sampling.h"
#include "ops/machine_probe.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

struct Row {
  std::string target;
  size_t lanes;
  Samples gflops;
};

class BenchCompute : public Command {
 public:
  std::string Name() const override { return "bench compute"; }
  std::string Summary() const override { return "fp32 multiply-add peak of this machine, for every SIMD target"; }
  std::string Examples() const override {
    return "  stablelm bench compute\n"
           "  stablelm bench compute --threads 1 --json";
  }
  unsigned Takes() const override { return kTakesThreads; }
  void AddOptions(CLI::App& app) override {
    AddNumber(app, "--samples", samples_, Limits<uint64_t>{1, 1000},
              "Samples of about a tenth of a second each; the median counts (default: 9)");
  }

  int Run(Output& out) override {
    const InterruptGuard guard;
    ThreadPool pool(common.threads);
    const std::string in_use = SimdTargetInUse();
    const std::vector<std::string> targets = UsableSimdTargets();
    Progress progress("multiplying", targets.size() * samples_, Progress::Unit::kItems, out.show_progress());
    std::vector<Row> rows;
    for (const std::string& target : targets) {
      SelectSimdTarget(target);
      rows.push_back({target, SimdLanes(), Measure(pool, progress)});
    }
    SelectSimdTarget(in_use);
    progress.Finish();
    Print(rows, in_use, out);
    return kExitOk;
  }

 private:
  // All threads at once, as the work that is judged by it: the clock may be lower than with one.
  Samples Measure(ThreadPool& pool, Progress& progress) {
    std::vector<FmaWork> work(common.threads);
    const auto time = [&](size_t rounds) {
      const auto start = Clock::now();
      pool.RunOnAll([&](size_t worker) { work[worker] = RunMultiplyAdds(rounds); });
      return SecondsSince(start);
    };
    size_t rounds = 1 << 16;
    double seconds = time(rounds);
    while (seconds < 0.02) seconds = time(rounds *= 2);  // and this warms up
    rounds = std::max<size_t>(rounds, static_cast<size_t>(static_cast<double>(rounds) * 0.1 / seconds));
    std::vector<double> speeds;
    for (uint64_t sample = 0; sample < samples_; ++sample) {
      if (Interrupted()) throw InterruptedExit();
      seconds = time(rounds);
      double flops = 0;
      for (const FmaWork& w : work) flops += w.flops;
      speeds.push_back(flops / seconds * 1e-9);
      progress.Add(1);
    }
    return Summarize(speeds);
  }

  void Print(const std::vector<Row>& rows, const std::string& in_use, Output& out) {
    if (out.json()) {
      nlohmann::ordered_json results = nlohmann::ordered_json::array();
      double used = 0;
      for (const Row& row : rows) {
        results.push_back({{"simd", row.target},
                           {"lanes", row.lanes},
                           {"gflops", row.gflops.median},
                           {"min", row.gflops.min},
                           {"max", row.gflops.max}});
        if (row.target == in_use) used = row.gflops.median;
      }
      out.Json({{"bench", "compute"},
                {"cpu", CpuModelName()},
                {"simd", in_use},
                {"threads", common.threads},
                {"samples", samples_},
                {"results", results},
                {"gflops", used}});
      return;
    }
    char line[160];
    std::snprintf(line, sizeof line, "%s, %llu threads, fp32 multiply-add, %llu samples\n", CpuModelName().c_str(),
                  static_cast<unsigned long long>(common.threads), static_cast<unsigned long long>(samples_));
    out.Text(line);
    out.Text("target     lanes  Gflop/s   (lowest to highest)\n");
    for (const Row& row : rows) {
      std::snprintf(line, sizeof line, "%-9s  %5zu  %7.1f   (%.1f to %.1f)%s\n", row.target.c_str(), row.lanes,
                    row.gflops.median, row.gflops.min, row.gflops.max, row.target == in_use ? "  in use" : "");
      out.Text(line);
    }
  }

  uint64_t samples_ = 9;
};

}  // namespace

std::unique_ptr<Command> MakeBenchCompute() { return std::make_unique<BenchCompute>(); }

}  // namespace stablelm
