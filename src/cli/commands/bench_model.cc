// stablelm bench model: a model's tokens per second, their share of the machine's peak, and the time per operation.
#include <cstdio>

#include "base/error.h"
#include "base/json_value.h"
#include "base/system.h"
#include "cli/app/commands.h"
#include "cli/app/interrupt.h"
#include "cli/app/model_loading.h"
#include "cli/app/options.h"
#include "cli/commands/bench_text.h"
#include "eval/model_speed.h"
#include "ops/kv_layout.h"
#include "ops/probe/machine_speed.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

enum class Format : uint8_t { kText, kMarkdown, kCsv };

// Measured speed as a share of the machine's peak.
struct Share {
  double value = 0;  // 0 to 1; NaN when the machine has no such peak
  double reached = 0;
  const char* unit = "";  // of `reached`
  const char* of = "";
};

// Formats a text table: first column left-aligned, numbers right-aligned.
std::string Table(const std::vector<std::vector<std::string>>& rows, Format format) {
  std::string text;
  if (format != Format::kText) {
    const bool markdown = format == Format::kMarkdown;
    for (size_t r = 0; r < rows.size(); ++r) {
      for (size_t c = 0; c < rows[r].size(); ++c) {
        const bool quoted = !markdown && rows[r][c].find(',') != std::string::npos;
        text += (markdown ? "| " : c > 0 ? "," : "") + (quoted ? "\"" + rows[r][c] + "\"" : rows[r][c]);
        if (markdown) text += " ";
      }
      text += markdown ? "|\n" : "\n";
      if (markdown && r == 0) {
        for (size_t c = 0; c < rows[0].size(); ++c) text += c == 0 ? "|---" : "|---:";
        text += "|\n";
      }
    }
    return text;
  }
  std::vector<size_t> widths(rows[0].size());
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string space(widths[c] - row[c].size(), ' ');
      text += c == 0 ? row[c] + space : "  " + space + row[c];
    }
    text += "\n";
  }
  return text;
}

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
           "`bench memory`, the rest by its arithmetic against `bench compute`: both are measured first. Milliseconds\n"
           "by operation are those of a whole prompt, or of a step.";
  }
  unsigned Takes() const override {
    return kTakesModelFirst | kTakesThreads | kTakesDtype | kTakesKv | kTakesActivation;
  }
  void AddOptions(CLI::App& app) override {
    AddCounts(app, "-p,--prompt", prompts_, 0, "Lengths of prompts, as 128,512; 0 for none (default: 128,512)");
    AddNumber(app, "-n,--steps", steps_, Limits<int64_t>{1, 1 << 20}, "Steps of decoding (default: 32)");
    AddCounts(app, "-b,--batch", batches_, 0, "Sequences that decode together; 0 for none (default: 1,4,16)");
    AddNumber(app, "--depth", depth_, Limits<int64_t>{1, 1 << 20},
              "Positions that each sequence has before it decodes (default: 128)");
    AddNumber(app, "--samples", samples_, Limits<uint64_t>{1, 1000},
              "Samples of each, after one that warms up; the median counts (default: 3)");
    AddFlag(app, "--md", markdown_, "Print Markdown tables");
    AddFlag(app, "--csv", csv_, "Print comma-separated values, a line for each case");
  }

  int Run(Output& out) override {
    if (markdown_ + csv_ + out.json() > 1) {
      throw UsageError(
          {.where = "--md, --csv, --json", .what = "one format at a time", .hint = "leave out all but one"});
    }
    ModelOfCommand model(common, out);
    const std::vector<SpeedCase> cases = Cases(model.config());
    ThreadPool pool(common.threads);
    const ProbeOptions probe = {
        .samples = 5, .show_progress = out.show_progress(), .before_sample = ThrowIfInterrupted};
    memory_ = MeasureMemory(pool, uint64_t{1} << 29, probe);
    compute_ = MeasureComputeInUse(pool, probe);
    model.Load(ModelSpeed::ShapeOf(common.kv, cases, pool.NumThreads()), false);
    ModelSpeed speed(model.model(), common.kv, cases, model.pool());
    std::vector<CaseSpeed> speeds;
    for (const SpeedCase& of : cases) {
      out.Note(of.Name() + " ...");
      speeds.push_back(speed.Measure(of, samples_));
    }
    out.json() ? PrintJson(model, speeds, out) : Print(model, speeds, out);
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
    const auto refuse = [](const char* where, const char* what, const std::string& found, const std::string& expected) {
      throw UsageError({.where = where, .what = what, .found = found, .expected = expected});
    };
    if (cases.empty()) refuse("--prompt, --batch", "nothing is left to measure", "", "");
    for (const SpeedCase& c : cases) {
      if (c.depth + c.tokens <= config.max_positions) continue;
      refuse(c.Prompt() ? "--prompt" : "--depth and --steps", "longer than the model's context",
             std::to_string(c.depth + c.tokens), "at most " + std::to_string(config.max_positions));
    }
    return cases;
  }

  Share ShareOf(const CaseSpeed& speed, bool quantized) const {
    if (speed.of.sequences == 1) {
      const double best = memory_.ways[memory_.best].gb_per_s.median;
      return {speed.gb_per_s / best, speed.gb_per_s, "GB/s", "memory"};
    }
    // Without a bf16 instruction, fast products use fp32 multiply-adds.
    const bool bf16 = common.compute == Compute::kFast && compute_.bf16_gflops.median > 0;
    const double peak = quantized ? compute_.int8_gops.median
                        : bf16    ? compute_.bf16_gflops.median
                                  : compute_.fp32_gflops.median;
    return {peak > 0 ? speed.gflops / peak : std::numeric_limits<double>::quiet_NaN(), speed.gflops, "Gop/s",
            quantized ? "int8"
            : bf16    ? "bf16"
                      : "fp32"};
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
    const Format format = markdown_ ? Format::kMarkdown : csv_ ? Format::kCsv : Format::kText;
    std::vector<std::vector<std::string>> rows = {{"test", "tokens/s", "lowest", "highest", "reached", "share"}};
    for (const CaseSpeed& speed : speeds) {
      const Share share = ShareOf(speed, quantized);
      const Samples& s = speed.tokens_per_s;
      rows.push_back({speed.of.Name(), Rounded(s.median, 2), Rounded(s.min, 2), Rounded(s.max, 2),
                      Rounded(share.reached, 1) + " " + share.unit, PercentOf(share)});
    }
    if (csv_) {
      for (size_t i = 0; i < rows.size(); ++i) {
        for (const char* name : OperationNames()) {
          rows[i].push_back(i == 0 ? "ms " + std::string(name) : Milliseconds(speeds[i - 1], name));
        }
      }
      return out.Text(Table(rows, format));
    }
    const std::string gap = markdown_ ? "\n\n" : "\n";
    std::string weights;
    for (const auto& [type, bytes] : matrices) {
      weights += (weights.empty() ? "" : ", ") + std::string(NameOf(type)) + " " + HumanBytes(bytes);
    }
    out.Text(common.model + ": matrices " + weights + ", " + std::string(NameOf(common.compute)) + "; cache " +
             std::string(KvTypeName(common.kv)) + ", " + std::to_string(depth_) + " positions before decoding" + gap);
    out.Text(CpuModelName() + ", " + compute_.target + ", " + ThreadsText(common.threads) + ": memory " +
             Rounded(memory_.ways[memory_.best].gb_per_s.median, 1) + " GB/s, fp32 " +
             Rounded(compute_.fp32_gflops.median, 0) + " Gflop/s, " +
             (compute_.bf16_gflops.median > 0 ? "bf16 " + Rounded(compute_.bf16_gflops.median, 0) + " Gflop/s, " : "") +
             "int8 " + Rounded(compute_.int8_gops.median, 0) + " Gop/s; medians of " + std::to_string(samples_) +
             "\n\n");
    out.Text(Table(rows, format) + "\n");
    rows = {{"ms"}};
    for (const CaseSpeed& speed : speeds) rows[0].push_back(speed.of.Name());
    for (const char* name : OperationNames()) {
      rows.push_back({name});
      for (const CaseSpeed& speed : speeds) rows.back().push_back(Milliseconds(speed, name));
    }
    out.Text(Table(rows, format));
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
    out.Json({{"bench", "model"},
              {"model", common.model},
              {"matrix_bytes", weights},
              {"compute", NameOf(common.compute)},
              {"kv", KvTypeName(common.kv)},
              {"cpu", CpuModelName()},
              {"simd", compute_.target},
              {"threads", common.threads},
              {"samples", samples_},
              {"memory_gb_per_s", memory_.ways[memory_.best].gb_per_s.median},
              {"fp32_gflops", compute_.fp32_gflops.median},
              {"bf16_gflops", compute_.bf16_gflops.median},
              {"int8_gops", compute_.int8_gops.median},
              {"load_s", model.load_seconds()},
              {"peak_bytes", ReadMemoryUse().peak_resident},
              {"results", results}});
  }

  std::vector<int64_t> prompts_ = {128, 512}, batches_ = {1, 4, 16};
  int64_t steps_ = 32, depth_ = 128;
  uint64_t samples_ = 3;
  bool markdown_ = false, csv_ = false;
  MemorySpeed memory_;
  ComputeSpeed compute_;
};

}  // namespace

std::unique_ptr<Command> MakeBenchModel() { return std::make_unique<BenchModel>(); }

}  // namespace stablelm
