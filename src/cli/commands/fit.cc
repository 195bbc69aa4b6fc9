// stablelm fit: the memory that a run needs, part by part, and whether this machine has it.
#include <cstdio>

#include "base/error.h"
#include "base/json_value.h"
#include "base/system.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/rewrite/quant_mix.h"
#include "cli/app/commands.h"
#include "cli/app/model_loading.h"
#include "cli/app/options.h"
#include "generate/generator.h"
#include "generate/scoring.h"

namespace stablelm {
namespace {

class Fit : public Command {
 public:
  std::string Name() const override { return "fit"; }
  std::string Summary() const override { return "What a run needs in memory, and whether it fits here"; }
  std::string Examples() const override {
    return "  stablelm fit models/stablelm-3b --context 2048\n"
           "  stablelm fit models/stablelm-3b --quantize Q4_K_M\n"
           "  stablelm fit models/stablelm-3b-fp32 --compute fast\n"
           "  stablelm fit --shape 7b --dtype fp16 --kv fp16 --context 4096 --batch 4 --json\n"
           "\n"
           "The numbers are those by which generate (context: prompt and new tokens) and score (--for score; context:\n"
           "the longest sequence) refuse a run that does not fit. Pages of mapped weight files count: without room\n"
           "for them every token would read the file again.";
  }
  unsigned Takes() const override { return kTakesModelFirst | kTakesThreads | kTakesDtype | kTakesKv; }
  void AddOptions(CLI::App& app) override {
    AddChoice(app, "--shape", {"3b", "7b"}, "A released model's shape, stored as --dtype (default fp16), instead of -m",
              [this](size_t i) { shape_ = i == 0 ? "3b" : "7b"; });
    AddNumber(app, "--context", context_, Limits<int64_t>{1, int64_t{1} << 31},
              "Positions per sequence (default: the model's context)");
    AddNumber(app, "--batch", batch_, Limits<int64_t>{1, 1 << 20}, "Sequences at the same time (default 1)");
    AddChoice(app, "--for", {"generate", "score"}, "The command to plan (default generate)",
              [this](size_t i) { for_score_ = i == 1; });
  }
  bool ModelIsNamed() const override { return !common.model.empty() || !shape_.empty(); }
  int Run(Output& out) override;

 private:
  RunShape Shape(const ModelConfig& config) const;

  std::string shape_;
  std::optional<int64_t> context_;
  int64_t batch_ = 1;
  bool for_score_ = false;
};

RunShape Fit::Shape(const ModelConfig& config) const {
  const int64_t context = context_.value_or(config.max_positions);
  if (context > config.max_positions) {
    throw Error({.where = "--context",
                 .what = "longer than the model's context",
                 .found = std::to_string(context),
                 .expected = "at most " + std::to_string(config.max_positions)});
  }
  RunShape run = for_score_ ? ShapeOfScore(context, common.kv, common.threads)
                            : ShapeOfGenerate(context, common.kv, common.threads);
  run.sequences = batch_;
  if (batch_ > 1) {  // one row per sequence in each pass
    run.max_rows = std::max(run.max_rows, batch_);
    run.max_logit_rows = std::max(run.max_logit_rows, batch_);
  }
  return run;
}

int Fit::Run(Output& out) {
  if (common.model.empty() == shape_.empty()) {
    throw UsageError({.where = "fit",
                      .what = shape_.empty() ? "no model was given" : "the model is given twice",
                      .expected = "MODEL (or -m MODEL) or --shape 3b|7b"});
  }
  ModelConfig config;
  WeightBytes weights;
  if (shape_.empty()) {
    const auto folder = ModelFolder::Open(common.model);
    for (const std::string& warning : folder->warnings()) out.Warning(warning);
    config = folder->config();
    const std::vector<DType> types = TypesInMemory(common, *folder, out);
    weights = PlanWeights(*folder, {.dtype = common.dtype, .types = types, .compute = common.compute});
  } else {
    config = *ModelConfig::FromShapeName(shape_);
    RefuseQuantizeBesideDtype(common);
    std::vector<DType> types;
    if (common.quantize) types = ChooseTypes(*common.quantize, {}, WeightTable(config), nullptr);
    weights = PlanWeights(config, common.dtype.value_or(DType::kF16), {.types = types, .compute = common.compute});
  }
  const MemoryPlan plan = PlanMemory(config, weights, Shape(config));
  const MemoryLimit available = AvailableMemory();
  const bool fits = plan.Total() <= available.bytes;

  if (out.json()) {
    JsonValue parts = JsonValue::Array();
    for (const MemoryPart& part : plan.parts) {
      parts.push_back({{"name", part.name}, {"bytes", part.bytes}, {"file_pages", part.file_pages}});
    }
    JsonValue object = {
        {"parts", parts}, {"total_bytes", plan.Total()}, {"anonymous_bytes", plan.Anonymous()}, {"fits", fits}};
    if (available.known()) {
      object["available_bytes"] = available.bytes;
      object["available_by"] = available.by;
    }
    if (const MemoryLimit machine = TotalMemory(); machine.known()) object["machine_bytes"] = machine.bytes;
    if (common.quantize) object["quantize"] = common.quantize->name;
    object["compute"] = NameOf(common.compute);
    out.Json(object);
    return kExitOk;
  }
  const auto line = [&](const std::string& name, uint64_t bytes) {
    char text[160];
    std::snprintf(text, sizeof text, "%-40s %12s  %16llu bytes\n", name.c_str(), HumanBytes(bytes).c_str(),
                  static_cast<unsigned long long>(bytes));
    out.Text(text);
  };
  for (const MemoryPart& part : plan.parts) line(part.name, part.bytes);
  line("total", plan.Total());
  if (available.known()) {
    line("available here", available.bytes);
    out.Text("limited by " + available.by + "\n");
  } else {
    out.Text("available here: unknown\n");
  }
  out.Text(fits ? "fits\n" : "does not fit\n");
  return kExitOk;
}

}  // namespace

std::unique_ptr<Command> MakeFit() { return std::make_unique<Fit>(); }

}  // namespace stablelm
