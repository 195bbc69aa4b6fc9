// stablelm bench model: a model's tokens per second, their share of the machine's peak, and the time per operation.
#include <cstdio>

#include "base/error.h"
#include "base/json_value.h"
#include "base/system.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/model_loading.h"
#include "cli/app/options.h"
#include "cli/commands/bench_table.h"
#include "cli/commands/bench_text.h"
#include "cli/commands/machine_peaks.h"
#include "eval/model_speed.h"
#include "ops/kv_layout.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

// Measured speed as a share of the machine's peak.
struct Share {
  double value = 0;  // 0 to 1; NaN when the machine has no such peak
  double reached = 0;
  const char* unit = "";  // of `reached`
  const char* of = "";
};

class BenchModel : public Command {
 public:
  std::string Name() const override { return "bench model"; }
  std::string Summary() const override { return "Speed of a model's prompts and decoding, and where the time goes"; }
  std::string Examples() const override {
    return "  stablelm bench model models/stablelm-3b\n"
           "  stablelm bench model models/stablelm-3b.Q4_K.gguf -p 512 -n 64 -b 1,16 --md\n"
           "  stablelm bench model models/stablelm-3b -p 0 -b 1 --depth 4064 --kv q8 --json\n"
           "\n"
           "Tokens are random. A prompt is computed with the logits of its last row; decoding takes a token of each\n"
           "sequence in every step, and its tokens/s are those of all sequences together. Decoding of one sequence is\n"
           "judged by the bytes that have to be read (weights, one row of the embedding, keys and values) against\n"
           "`bench memory`, the rest by its arithmetic against `bench compute`: both are measured afterwards, which\n"
           "takes some seconds; --machine FILE keeps the result, --no-machine leaves the shares out. Milliseconds by\n"
           "operation are those of a whole prompt, or of a step.";
  }
  unsigned Takes() const override {
    return kTakesModelFirst | kTakesThreads | kTakesDtype | kTakesLora | kTakesKv | kTakesActivation;
  }
  void AddOptions(CLI::App& app) override {
    AddCounts(app, "-p,--prompt", prompts_, 0, "Lengths of prompts, as 128,512; 0 for none (default: 128,512)");
    AddNumber(app, "-n,--steps", steps_, Limits<int64_t>{1, 1 << 20}, "Steps of decoding (default: 32)");
    AddCounts(app, "-b,--batch", batches_, 0, "Sequences that decode together; 0 for none (default: 1,4,16)");
    AddNumber(app, "--depth", depth_, Limits<int64_t>{1, 1 << 20},
              "Tokens that each sequence has before it decodes (default: 128)");
    AddNumber(app, "--samples", samples_, Limits<uint64_t>{1, 1000},
              "Samples of each, after one that warms up; the median counts (default: 3)");
    AddText(app, "--machine", "FILE", machine_file_,
            "Reuse the machine's peaks from FILE; measure and write them there when it does not exist");
    AddFlag(app, "--no-machine", no_machine_, "Do not measure the machine: speeds without their share of its peaks");
    AddFlag(app, "--md", markdown_, "Print Markdown tables");
    AddFlag(app, "--csv", csv_, "Print comma-separated values, a line for each case: numbers and their units apart");
  }

  int Run(Output& out) override {
    if (markdown_ + csv_ + out.json() > 1) {
      throw UsageError(
          {.where = "--md, --csv, --json", .what = "one format at a time", .hint = "leave out all but one"});
    }
    if (no_machine_ && machine_file_) {
      throw UsageError({.where = "--no-machine", .what = "contradicts --machine", .hint = "leave one of them out"});
    }
    if (machine_file_) peaks_ = ReadPeaks(*machine_file_, common.threads, out);  // its errors before the work
    ModelOfCommand model(common, out);
    const std::vector<SpeedCase> cases = Cases(model.config());
    model.Load(ModelSpeed::ShapeOf(common.kv, cases, common.threads), false);
    ModelSpeed speed(model.model(), common.kv, cases, model.pool());
    std::vector<CaseSpeed> speeds;
    for (const SpeedCase& of : cases) {
      out.Note(of.Name() + " ...");
      speeds.push_back(speed.Measure(of, samples_));
    }
    // The peak of the model, without the buffer by which the memory is measured.
    peak_bytes_ = ReadMemoryUse().peak_resident;
    const ProbeOptions probe = {
        .samples = 5, .show_progress = out.show_progress(), .before_sample = ThrowIfInterrupted};
    if (!no_machine_ && !peaks_) {
      peaks_ = MeasurePeaks(model.pool(), probe);
      if (machine_file_) WritePeaks(*machine_file_, *peaks_, common.threads);
    }
    out.json() ? PrintJson(model, speeds, out) : csv_ ? PrintCsv(model, speeds, out) : Print(model, speeds, out);
    return kExitOk;
  }

 private:
  static void AddCounts(CLI::App& app, const std::string& name, std::vector<int64_t>& counts, int64_t min,
                        const std::string& help) {
    AddValue(app, name, "N,N,...", help, [&counts, name, min](const std::string& text) {
      counts.clear();
      for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find(',', begin), text.size());
        counts.push_back(ParseInteger(std::string_view(text).substr(begin, end - begin), name, min, 1 << 20));
        begin = end + 1;
      }
    });
  }

  std::vector<SpeedCase> Cases(const ModelConfig& config) const {
    std::vector<SpeedCase> cases;
    for (const int64_t n : prompts_) {
      if (n > 0) cases.push_back({.tokens = n});
    }
    for (const int64_t n : batches_) {
      if (n > 0) cases.push_back({.tokens = steps_, .sequences = n, .depth = depth_});
    }
    const auto refuse = [](const char* where, const char* what, const std::string& found, const std::string& expected,
                           const std::string& hint) {
      throw UsageError({.where = where, .what = what, .found = found, .expected = expected, .hint = hint});
    };
    if (cases.empty())
      refuse("--prompt, --batch", "nothing is left to measure", "", "", "such as `--prompt 512 --batch 1`");
    for (const SpeedCase& c : cases) {
      if (c.depth + c.tokens <= config.max_positions) continue;
      refuse(c.Prompt() ? "--prompt" : "--depth and --steps", "longer than the model's context",
             std::to_string(c.depth + c.tokens), "at most " + std::to_string(config.max_positions),
             c.Prompt() ? "measure a shorter prompt" : "lower --depth or --steps");
    }
    return cases;
  }

  Share ShareOf(const CaseSpeed& speed, bool quantized) const {
    const auto share = [](double reached, double peak) {
      return peak > 0 ? reached / peak : std::numeric_limits<double>::quiet_NaN();
    };
    const MachinePeaks peaks = peaks_.value_or(MachinePeaks());
    if (speed.of.sequences == 1)
      return {share(speed.gb_per_s, peaks.memory_gb_per_s), speed.gb_per_s, "GB/s", "memory"};
    // Without a bf16 instruction, fast products use fp32 multiply-adds.
    const bool bf16 = common.compute == Compute::kFast && peaks.bf16_gflops > 0;
    const double peak = quantized ? peaks.int8_gops : bf16 ? peaks.bf16_gflops : peaks.fp32_gflops;
    return {share(speed.gflops, peak), speed.gflops, "Gop/s", quantized ? "int8" : bf16 ? "bf16" : "fp32"};
  }

  // Whether more than half of the matrices' bytes are quantized.
  static bool MostlyQuantized(const std::map<DType, uint64_t>& matrices) {
    uint64_t quantized = 0, all = 0;
    for (const auto& [type, bytes] : matrices) {
      all += bytes;
      if (IsQuantized(type)) quantized += bytes;
    }
    return 2 * quantized > all;
  }

  static std::string PercentOf(const Share& share) {
    if (share.value != share.value) return "-";
    return Rounded(100 * share.value, 0) + " % of " + share.of;
  }

  void Print(ModelOfCommand& model, const std::vector<CaseSpeed>& speeds, Output& out) const {
    const auto matrices = model.model().weights().MatrixBytes();
    const bool quantized = MostlyQuantized(matrices);
    const TableFormat format = markdown_ ? TableFormat::kMarkdown : TableFormat::kText;
    std::vector<std::vector<std::string>> rows = {{"test", "tokens/s", "lowest", "highest", "reached", "share"}};
    for (const CaseSpeed& speed : speeds) {
      const Share share = ShareOf(speed, quantized);
      const Samples& s = speed.tokens_per_s;
      rows.push_back({speed.of.Name(), Rounded(s.median, 2), Rounded(s.min, 2), Rounded(s.max, 2),
                      Rounded(share.reached, 1) + " " + share.unit, PercentOf(share)});
    }
    const std::string gap = markdown_ ? "\n\n" : "\n";
    std::string weights;
    for (const auto& [type, bytes] : matrices) {
      weights += (weights.empty() ? "" : ", ") + std::string(NameOf(type)) + " " + HumanBytes(bytes);
    }
    out.Text(common.model + AdaptersText(common) + ": matrices " + weights + ", " +
             std::string(NameOf(common.compute)) + "; cache " + std::string(KvTypeName(common.kv)) + ", " +
             std::to_string(depth_) + " positions before decoding" + gap);
    out.Text(CpuModelName() + ", " + SimdTargetInUse() + ", " + ThreadsText(common.threads) + ": " + PeaksText() +
             "medians of " + std::to_string(samples_) + "\n\n");
    out.Text(Table(rows, format) + "\n");
    rows = {{"ms"}};
    for (const CaseSpeed& speed : speeds) rows[0].push_back(speed.of.Name());
    for (const char* name : OperationNames()) {
      rows.push_back({name});
      for (const CaseSpeed& speed : speeds) rows.back().push_back(Milliseconds(speed, name));
    }
    out.Text(Table(rows, format));
  }

  std::string PeaksText() const { return peaks_ ? stablelm::PeaksText(*peaks_) : ""; }

  // A line for each case, which can be read alone: numbers without units, the model, the machine and the cache.
  void PrintCsv(ModelOfCommand& model, const std::vector<CaseSpeed>& speeds, Output& out) const {
    const bool quantized = MostlyQuantized(model.model().weights().MatrixBytes());
    std::vector<std::string> head = {
        "test",    "tokens",       "sequences", "depth",   "tokens_per_s", "tokens_per_s_min", "tokens_per_s_max",
        "reached", "reached_unit", "share",     "share_of"};
    for (const char* name : OperationNames()) head.push_back("ms " + std::string(name));
    for (const char* name : {"model", "dtype", "kv", "compute", "cpu", "simd", "threads", "samples", "memory_gb_per_s",
                             "fp32_gflops", "bf16_gflops", "int8_gops", "peak_bytes"}) {
      head.emplace_back(name);
    }
    std::vector<std::vector<std::string>> rows = {head};
    const auto peak = [&](double MachinePeaks::*field) { return peaks_ ? Rounded((*peaks_).*field, 2) : ""; };
    for (const CaseSpeed& speed : speeds) {
      const Share share = ShareOf(speed, quantized);
      const Samples& s = speed.tokens_per_s;
      const bool known = share.value == share.value;
      std::vector<std::string> row = {speed.of.Prompt() ? "prompt" : "decode",
                                      std::to_string(speed.of.tokens),
                                      std::to_string(speed.of.Prompt() ? 1 : speed.of.sequences),
                                      std::to_string(speed.of.depth),
                                      Rounded(s.median, 4),
                                      Rounded(s.min, 4),
                                      Rounded(s.max, 4),
                                      Rounded(share.reached, 4),
                                      share.unit,
                                      known ? Rounded(share.value, 4) : "",
                                      known ? share.of : ""};
      for (const char* name : OperationNames()) row.push_back(Milliseconds(speed, name));
      row.insert(
          row.end(),
          {common.model + AdaptersText(common), TypesText(model), std::string(KvTypeName(common.kv)),
           std::string(NameOf(common.compute)), CpuModelName(), SimdTargetInUse(), std::to_string(common.threads),
           std::to_string(samples_), peak(&MachinePeaks::memory_gb_per_s), peak(&MachinePeaks::fp32_gflops),
           peak(&MachinePeaks::bf16_gflops), peak(&MachinePeaks::int8_gops), std::to_string(peak_bytes_)});
      rows.push_back(std::move(row));
    }
    out.Text(Table(rows, TableFormat::kCsv));
  }

  // "Q4_K+Q6_K"
  static std::string TypesText(ModelOfCommand& model) {
    std::string text;
    for (const auto& [type, bytes] : model.model().weights().MatrixBytes()) {
      text += (text.empty() ? "" : "+") + std::string(NameOf(type));
    }
    return text;
  }

  static std::string Milliseconds(const CaseSpeed& speed, const char* name) {
    const auto found = speed.ms.find(name);
    return found == speed.ms.end() ? "0.00" : Rounded(found->second, 2);
  }

  void PrintJson(ModelOfCommand& model, const std::vector<CaseSpeed>& speeds, Output& out) const {
    const auto matrices = model.model().weights().MatrixBytes();
    JsonValue weights = JsonValue::Object(), results = JsonValue::Array();
    for (const auto& [type, bytes] : matrices) weights[std::string(NameOf(type))] = bytes;
    for (const CaseSpeed& speed : speeds) {
      const Share share = ShareOf(speed, MostlyQuantized(matrices));
      JsonValue row = {{"test", speed.of.Prompt() ? "prompt" : "decode"}, {"tokens", speed.of.tokens}};
      if (!speed.of.Prompt()) row.Update({{"sequences", speed.of.sequences}, {"depth", speed.of.depth}});
      row.Update({{"tokens_per_s", speed.tokens_per_s.median},
                  {"min", speed.tokens_per_s.min},
                  {"max", speed.tokens_per_s.max},
                  {"gflops", speed.gflops},
                  {"gb_per_s", speed.gb_per_s},
                  {"share", share.value},
                  {"share_of", share.of},
                  {"ms", speed.ms}});
      results.push_back(row);
    }
    // Without a measurement: null.
    const auto peak = [&](double MachinePeaks::*field) { return peaks_ ? JsonValue((*peaks_).*field) : JsonValue(); };
    JsonValue object = {{"bench", "model"},
                        {"model", common.model},
                        {"matrix_bytes", weights},
                        {"compute", NameOf(common.compute)},
                        {"kv", KvTypeName(common.kv)},
                        {"cpu", CpuModelName()},
                        {"simd", SimdTargetInUse()},
                        {"threads", common.threads},
                        {"samples", samples_},
                        {"memory_gb_per_s", peak(&MachinePeaks::memory_gb_per_s)},
                        {"fp32_gflops", peak(&MachinePeaks::fp32_gflops)},
                        {"bf16_gflops", peak(&MachinePeaks::bf16_gflops)},
                        {"int8_gops", peak(&MachinePeaks::int8_gops)},
                        {"load_s", model.load_seconds()},
                        {"peak_bytes", peak_bytes_},
                        {"results", results}};
    if (!model.adapters().empty()) object["lora"] = AdaptersJson(model.adapters());
    out.Json(object);
  }

  std::vector<int64_t> prompts_ = {128, 512}, batches_ = {1, 4, 16};
  int64_t steps_ = 32, depth_ = 128;
  uint64_t samples_ = 3;
  bool markdown_ = false, csv_ = false;
  std::optional<std::string> machine_file_;
  bool no_machine_ = false;
  std::optional<MachinePeaks> peaks_;  // empty with --no-machine
  uint64_t peak_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Command> MakeBenchModel() { return std::make_unique<BenchModel>(); }

}  // namespace stablelm
