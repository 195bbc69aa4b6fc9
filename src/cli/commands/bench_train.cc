// stablelm bench train: speed and memory of a training step, and where the time goes.
#include "base/counted.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/system.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"
#include "cli/commands/bench_table.h"
#include "cli/commands/bench_text.h"
#include "cli/commands/machine_peaks.h"
#include "cli/commands/read_shape.h"
#include "cli/commands/train_options.h"
#include "ops/low_rank.h"
#include "ops/simd.h"
#include "train/adapter_base.h"
#include "train/load_parameters.h"
#include "train/lora_options.h"
#include "train/train_plan.h"
#include "train/train_speed.h"

namespace stablelm {
namespace {

class BenchTrain : public Command {
 public:
  std::string Name() const override { return "bench train"; }
  std::string Summary() const override { return "Speed and memory of a training step, and where the time goes"; }
  std::string Examples() const override {
    return "  stablelm bench train models/stablelm-3b --precision bf16 --context 512 --trained \"*.layers.15.*\"\n"
           "  stablelm bench train --shape config.json --batch 8 --context 256 --md\n"
           "  stablelm bench train --shape 3b --precision bf16 --recompute layer --batch 4 --json\n"
           "  stablelm bench train model-q4_k.gguf --lora 16 --recompute layer --context 2048\n"
           "\n"
           "A step computes the gradients of --micro-batches batches of --batch documents with --context random "
           "tokens\n"
           "each, and updates the parameters with AdamW. Its tokens per second are the median of --samples steps "
           "after\n"
           "one that warms up. Its share of the machine's peak (`bench compute`, measured afterwards) counts the\n"
           "arithmetic of products and attention, of a full step three times that of a forward pass; what --recompute\n"
           "computes again is not counted. With --shape, weights are random.";
  }
  unsigned Takes() const override { return kTakesModelFirst | kTakesThreads; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "--shape", "3b|7b|FILE", shape_, "Shape of a released model, or a config.json, instead of MODEL");
    train_.Add(app);
    AddNumber(app, "--batch", of_.documents, Limits<int64_t>{1, 1 << 20}, "Documents of a micro-batch (default: 1)");
    AddNumber(app, "--context", length_, Limits<int64_t>{1, 1 << 20},
              "Tokens of a document (default, and with 0: 512, or the model's context if it is shorter)");
    AddNumber(app, "--micro-batches", of_.micro_batches, Limits<int64_t>{1, 1 << 20},
              "Micro-batches of a step (default: 1)");
    AddNumber(app, "--targets", of_.targets, Limits<double>{0, 1},
              "Share of the tokens that bear loss, 0 to 1 (default: 1)");
    AddNumber(app, "--lora", lora_rank_, Limits<int64_t>{1, kMaxLowRank},
              "Train adapters of this rank on the four matrices of every layer instead of the model");
    AddNumber(app, "--samples", samples_, Limits<uint64_t>{1, 1000}, "Steps to measure (default: 3)");
    AddText(app, "--machine", "FILE", machine_file_,
            "Reuse the machine's peaks from FILE; measure and write them there when it does not exist");
    AddFlag(app, "--no-machine", no_machine_, "Do not measure the machine: speeds without their share of its peaks");
    AddFlag(app, "--md", markdown_, "Print Markdown tables");
    AddFlag(app, "--csv", csv_, "Print comma-separated values: numbers and their units apart");
  }
  bool ModelIsNamed() const override { return !common.model.empty() || !shape_.empty(); }

  int Run(Output& out) override {
    if (markdown_ + csv_ + out.json() > 1) {
      throw UsageError(
          {.where = "--md, --csv, --json", .what = "one format at a time", .hint = "leave out all but one"});
    }
    if (no_machine_ && machine_file_) {
      throw UsageError({.where = "--no-machine", .what = "contradicts --machine", .hint = "leave one of them out"});
    }
    if (common.model.empty() == shape_.empty()) {
      throw UsageError(
          {.where = "bench train",
           .what = shape_.empty() ? "no model was given" : "the model is given twice",
           .expected = "MODEL (or -m MODEL) or --shape 3b|7b|FILE",
           .hint = shape_.empty() ? "such as `stablelm bench train --shape 3b`" : "leave one of them out"});
    }
    std::shared_ptr<const ModelFolder> folder;
    if (shape_.empty()) {
      folder = ModelFolder::Open(common.model);
      for (const std::string& warning : folder->warnings()) out.Warning(warning);
      if (!lora_rank_) RequireTrainable(*folder);
    }
    if (lora_rank_ && (!train_.trained.empty() || train_.precision == Precision::kF16)) {
      throw UsageError({.where = "--lora",
                        .what = train_.trained.empty() ? "adapters are not trained in fp16" : "contradicts --trained",
                        .expected = train_.trained.empty() ? "--precision fp32 or bf16" : "one of them",
                        .hint = train_.trained.empty() ? "such as `--precision bf16`" : "leave one of them out"});
    }
    const ModelConfig config = folder ? folder->config() : ReadShape(shape_);
    of_.length = length_.value_or(std::min<int64_t>(512, config.max_positions));
    if (of_.length > config.max_positions) {
      throw UsageError({.where = "--context",
                        .what = "longer than the model's context",
                        .found = std::to_string(of_.length),
                        .expected = "at most " + std::to_string(config.max_positions),
                        .hint = "`--context " + std::to_string(config.max_positions) + "` is the longest"});
    }
    const ParameterTable table = TableOf(config);
    TrainShape shape = train_.ShapeOf(of_.documents, of_.length, common.threads);
    std::optional<AdapterBase> base;
    std::optional<WeightBytes> base_bytes;
    if (lora_rank_) {
      shape.adapter_rank = *lora_rank_;
      shape.precision = Precision::kF32;
      if (folder) base = ChooseAdapterBase(*folder, "", train_.precision);
      base_bytes = folder ? PlanAdapterBase(*folder, *base)
                          : WeightBytes{.allocated = Parameters::Bytes(FrozenTable(config), train_.precision).weights};
    }
    if (machine_file_) peaks_ = ReadPeaks(*machine_file_, common.threads, out);  // its errors before the steps
    plan_ = PlanTraining(config, table, shape, base_bytes);
    RequireFits(plan_, AvailableMemory(),
                "`--recompute layer`, `--precision bf16`, fewer or shorter documents, or fewer trained parameters need "
                "less; `stablelm fit --for finetune` shows each part");

    ThreadPool pool(common.threads);
    const QkvOrder order = folder ? folder->qkv_order() : QkvOrder::kPerHead;
    // The random model below adapters.
    std::optional<Parameters> drawn;
    if (lora_rank_ && !folder) {
      drawn.emplace(config, FrozenTable(config), train_.precision, order);
      DrawParameters(0, *drawn, pool);
    }
    const auto make = [&] {
      if (!lora_rank_) return Parameters(config, table, train_.precision, order);
      return Parameters(folder ? LoadAdapterBase(folder, *base, pool, out.show_progress()) : drawn->weights(), table,
                        order);
    };
    Parameters parameters = make();
    if (lora_rank_) {
      DrawAdapters(parameters, pool);
    } else {
      folder ? LoadParameters(*folder, parameters, pool, out.show_progress()) : DrawParameters(0, parameters, pool);
    }
    TrainingStep step(parameters, shape, {}, {}, pool);
    out.Note("measuring " + std::to_string(samples_ + 2) + " steps of " + std::to_string(of_.TokensPerStep()) +
             " tokens ...");
    result_ = MeasureTraining(parameters, step, of_, samples_, ThrowIfInterrupted);
    memory_ = ReadMemoryUse();
    if (result_.skipped > 0) {
      out.Warning((result_.skipped == result_.steps
                       ? "every step"
                       : Counted(result_.skipped, "step") + " of " + std::to_string(result_.steps)) +
                  " overflowed the range of fp16, first in " + result_.overflow +
                  ": such a step searches for the overflow and updates nothing, so times and speeds are not those of "
                  "training; bf16 has the range of fp32");
    }
    const ProbeOptions probe = {
        .samples = 5, .show_progress = out.show_progress(), .before_sample = ThrowIfInterrupted};
    if (!no_machine_ && !peaks_) {
      peaks_ = MeasurePeaks(pool, probe);
      if (machine_file_) WritePeaks(*machine_file_, *peaks_, common.threads);
    }
    out.json() ? PrintJson(table, out) : Print(table, out);
    return kExitOk;
  }

 private:
  ParameterTable TableOf(const ModelConfig& config) const {
    if (!lora_rank_) return ParameterTable(config, train_.trained);
    return ParameterTable(config, LoraOnAllTargets(*lora_rank_));
  }
  // A model of which nothing is trained but one small vector.
  static ParameterTable FrozenTable(const ModelConfig& config) {
    return ParameterTable(config, std::vector<std::string>{"gpt_neox.final_layer_norm.bias"});
  }
  double Gflops() const { return result_.flops / result_.seconds.median * 1e-9; }
  // Products in bf16 use the bf16 instruction where there is one; those of fp16 are fp32 multiply-adds.
  bool AgainstBf16() const { return train_.precision == Precision::kBF16 && peaks_ && peaks_->bf16_gflops > 0; }
  double Share() const { return Gflops() / (AgainstBf16() ? peaks_->bf16_gflops : peaks_->fp32_gflops); }
  std::string ModelName() const { return shape_.empty() ? common.model : shape_; }

  void Print(const ParameterTable& table, Output& out) const {
    const TableFormat format = csv_ ? TableFormat::kCsv : markdown_ ? TableFormat::kMarkdown : TableFormat::kText;
    const Samples& speed = result_.tokens_per_s;
    if (csv_) {
      std::vector<std::vector<std::string>> rows = {
          {"model", "parameters", "trained", "precision", "recompute", "batch", "context", "micro_batches", "targets",
           "tokens_per_s", "tokens_per_s_min", "tokens_per_s_max", "gflops", "share", "share_of"}};
      rows.push_back({ModelName(), std::to_string(table.NumParameters()), std::to_string(table.NumTrained()),
                      std::string(NameOf(train_.precision)), std::string(NameOf(train_.recompute)),
                      std::to_string(of_.documents), std::to_string(of_.length), std::to_string(of_.micro_batches),
                      Rounded(of_.targets, 4), Rounded(speed.median, 4), Rounded(speed.min, 4), Rounded(speed.max, 4),
                      Rounded(Gflops(), 4), peaks_ ? Rounded(Share(), 4) : "",
                      peaks_ ? AgainstBf16() ? "bf16" : "fp32" : ""});
      for (const auto& [name, ms] : result_.ms) {
        rows[0].push_back("ms " + name);
        rows[1].push_back(Rounded(ms, 2));
      }
      for (const auto& [name, value] : std::initializer_list<std::pair<const char*, std::string>>{
               {"planned_bytes", std::to_string(plan_.Total())},
               {"peak_bytes", std::to_string(memory_.peak_resident)},
               {"cpu", CpuModelName()},
               {"simd", SimdTargetInUse()},
               {"threads", std::to_string(common.threads)},
               {"samples", std::to_string(samples_)}}) {
        rows[0].emplace_back(name);
        rows[1].push_back(value);
      }
      out.Text(Table(rows, format));
      return;
    }
    const std::string gap = markdown_ ? "\n\n" : "\n";
    out.Text(ModelName() + ": " + std::to_string(table.NumParameters()) + " parameters, " +
             (table.NumTrained() == table.NumParameters() ? "all" : std::to_string(table.NumTrained())) + " trained, " +
             std::string(NameOf(train_.precision)) + ", recompute " + std::string(NameOf(train_.recompute)) + "; " +
             std::to_string(of_.micro_batches) + " x " + std::to_string(of_.documents) + " x " +
             Counted(of_.length, "token") + gap);
    out.Text(CpuModelName() + ", " + SimdTargetInUse() + ", " + ThreadsText(common.threads) + ": " +
             (peaks_ ? PeaksText(*peaks_) : "") + "median of " + std::to_string(samples_) + "\n\n");
    std::vector<std::vector<std::string>> rows = {
        {"tokens/s", "lowest", "highest", "reached", "share", "memory", "planned"}};
    rows.push_back({Rounded(speed.median, 1), Rounded(speed.min, 1), Rounded(speed.max, 1),
                    Rounded(Gflops(), 1) + " Gflop/s",
                    peaks_ ? Rounded(100 * Share(), 0) + " % of " + (AgainstBf16() ? "bf16" : "fp32") : "-",
                    HumanBytes(memory_.peak_resident), HumanBytes(plan_.Total())});
    out.Text(Table(rows, format) + "\n");
    rows = {{"ms", "a step", "share"}};
    const auto line = [&](const char* name) {
      const double ms = result_.ms.at(name);
      double all = 0;
      for (const auto& [part, of_part] : result_.ms) all += of_part;
      rows.push_back({name, Rounded(ms, 1), Rounded(100 * ms / all, 0) + " %"});
    };
    for (const char* name : kStepPartNames) line(name);
    line("rest");
    out.Text(Table(rows, format));
  }

  void PrintJson(const ParameterTable& table, Output& out) const {
    const auto peak = [&](double MachinePeaks::*field) { return peaks_ ? JsonValue((*peaks_).*field) : JsonValue(); };
    out.Json({{"bench", "train"},
              {"model", ModelName()},
              {"parameters", table.NumParameters()},
              {"trained", table.NumTrained()},
              {"precision", NameOf(train_.precision)},
              {"recompute", NameOf(train_.recompute)},
              {"lora", lora_rank_ ? JsonValue(*lora_rank_) : JsonValue()},
              {"batch", of_.documents},
              {"context", of_.length},
              {"micro_batches", of_.micro_batches},
              {"targets", of_.targets},
              {"cpu", CpuModelName()},
              {"simd", SimdTargetInUse()},
              {"threads", common.threads},
              {"samples", samples_},
              {"tokens_per_s", result_.tokens_per_s.median},
              {"min", result_.tokens_per_s.min},
              {"max", result_.tokens_per_s.max},
              {"gflops", Gflops()},
              {"share", peaks_ ? JsonValue(Share()) : JsonValue()},
              {"share_of", peaks_ ? JsonValue(AgainstBf16() ? "bf16" : "fp32") : JsonValue()},
              {"fp32_gflops", peak(&MachinePeaks::fp32_gflops)},
              {"bf16_gflops", peak(&MachinePeaks::bf16_gflops)},
              {"ms", result_.ms},
              {"loss", result_.loss},
              {"skipped_steps", result_.skipped},
              {"planned_bytes", plan_.Total()},
              {"planned", PartsJson(plan_)},
              {"anonymous_bytes", memory_.anonymous},
              {"peak_bytes", memory_.peak_resident}});
  }

  std::string shape_;
  TrainOptions train_;
  TrainSpeedCase of_;
  std::optional<int64_t> length_;
  std::optional<int64_t> lora_rank_;
  uint64_t samples_ = 3;
  bool markdown_ = false, csv_ = false, no_machine_ = false;
  std::optional<std::string> machine_file_;
  std::optional<MachinePeaks> peaks_;  // empty with --no-machine
  MemoryPlan plan_;
  TrainSpeedResult result_;
  MemoryUse memory_;
};

}  // namespace

std::unique_ptr<Command> MakeBenchTrain() { return std::make_unique<BenchTrain>(); }

}  // namespace stablelm
