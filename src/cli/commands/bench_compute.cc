// stablelm bench compute: the machine's peak multiply-add rate, the bound for prefill.
#include <cstdio>

#include "base/json_value.h"
#include "base/system.h"
#include "base/thread_pool.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"
#include "cli/commands/bench_text.h"
#include "ops/probe/machine_speed.h"

namespace stablelm {
namespace {

class BenchCompute : public Command {
 public:
  std::string Name() const override { return "bench compute"; }
  std::string Summary() const override { return "Multiply-add peaks of this machine, for every SIMD target"; }
  std::string Examples() const override {
    return "  stablelm bench compute\n"
           "  stablelm bench compute --threads 1 --json\n"
           "\n"
           "fp32: multiply-adds of floats, the limit of products with fp32, fp16 and bf16 weights.\n"
           "bf16: pairs of bf16 numbers added to floats (AMX, AVX-512 BF16), the limit with --compute fast.\n"
           "int8: products of bytes added up in 32 bits (AMX, VNNI, Arm's dot product) or in 16 bits, the\n"
           "limit of those with quantized weights.";
  }
  unsigned Takes() const override { return kTakesThreads; }
  void AddOptions(CLI::App& app) override {
    AddNumber(app, "--samples", samples_, Limits<uint64_t>{1, 1000},
              "Samples of about a tenth of a second each; the median counts (default: 9)");
  }

  int Run(Output& out) override {
    const InterruptGuard guard;
    ThreadPool pool(common.threads);
    Print(MeasureCompute(
              pool, {.samples = samples_, .show_progress = out.show_progress(), .before_sample = ThrowIfInterrupted}),
          out);
    return kExitOk;
  }

 private:
  void Print(const std::vector<ComputeSpeed>& speeds, Output& out) {
    if (out.json()) {
      JsonValue results = JsonValue::Array();
      const ComputeSpeed* used = &speeds.front();
      for (const ComputeSpeed& speed : speeds) {
        results.push_back({{"simd", speed.target},
                           {"lanes", speed.lanes},
                           {"gflops", speed.fp32_gflops.median},
                           {"min", speed.fp32_gflops.min},
                           {"max", speed.fp32_gflops.max},
                           {"bf16_gflops", speed.bf16_gflops.median},
                           {"bf16_min", speed.bf16_gflops.min},
                           {"bf16_max", speed.bf16_gflops.max},
                           {"int8_gops", speed.int8_gops.median},
                           {"int8_min", speed.int8_gops.min},
                           {"int8_max", speed.int8_gops.max}});
        if (speed.in_use) used = &speed;
      }
      out.Json({{"bench", "compute"},
                {"cpu", CpuModelName()},
                {"simd", used->target},
                {"threads", common.threads},
                {"samples", samples_},
                {"results", results},
                {"gflops", used->fp32_gflops.median},
                {"bf16_gflops", used->bf16_gflops.median},
                {"int8_gops", used->int8_gops.median}});
      return;
    }
    char line[160];
    std::snprintf(line, sizeof line, "%s, %s, multiply-adds, %llu samples\n", CpuModelName().c_str(),
                  ThreadsText(common.threads).c_str(), static_cast<unsigned long long>(samples_));
    out.Text(line);
    out.Text(
        "target     lanes  fp32 Gflop/s   (lowest to highest)  bf16 Gflop/s   (lowest to highest)"
        "  int8 Gop/s   (lowest to highest)\n");
    for (const ComputeSpeed& speed : speeds) {
      std::snprintf(line, sizeof line, "%-9s  %5zu", speed.target.c_str(), speed.lanes);
      std::string row = line + Columns(speed.fp32_gflops, 14) + Columns(speed.bf16_gflops, 14) +
                        Columns(speed.int8_gops, 12) + (speed.in_use ? "  in use" : "");
      row.resize(row.find_last_not_of(' ') + 1);
      out.Text(row + "\n");
    }
  }

  static std::string Columns(const Samples& samples, int width) {
    char text[80];
    if (samples.median > 0) {
      std::snprintf(text, sizeof text, "%*.1f   %-19s", width, samples.median, Range(samples).c_str());
    } else {
      std::snprintf(text, sizeof text, "%*s   %-19s", width, "-", "");
    }
    return text;
  }

  uint64_t samples_ = 9;
};

}  // namespace

std::unique_ptr<Command> MakeBenchCompute() { return std::make_unique<BenchCompute>(); }

}  // namespace stablelm
