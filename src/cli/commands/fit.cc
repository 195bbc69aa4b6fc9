// stablelm fit: the memory that a run needs, part by part, and whether this machine has it.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/json_value.h"
#include "base/system.h"
#include "checkpoint/describe/weight_table.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/rewrite/quant_mix.h"
#include "checkpoint/rewrite/quantize_on_load.h"
#include "cli/app/command.h"
#include "cli/app/model_loading.h"
#include "cli/app/options.h"
#include "cli/app/wrapped_text.h"
#include "cli/commands/train_options.h"
#include "generate/generator.h"
#include "generate/scoring.h"
#include "ops/low_rank.h"
#include "train/adapter_base.h"
#include "train/load_parameters.h"
#include "train/lora_options.h"
#include "train/train_plan.h"

namespace stablelm {
namespace {

class Fit : public Command {
 public:
  std::string Name() const override { return "fit"; }
  std::string Summary() const override { return "What a run needs in memory, and whether it fits here"; }
  std::string Examples() const override {
    return "  stablelm fit models/stablelm-3b --context 2048\n"
           "  stablelm fit models/stablelm-3b --quantize Q4_K_M\n"
           "  stablelm fit models/stablelm-3b --lora runs/lora/best\n"
           "  stablelm fit models/stablelm-3b-fp32 --compute fast\n"
           "  stablelm fit --shape 7b --dtype fp16 --kv fp16 --context 4096 --batch 4 --json\n"
           "  stablelm fit --shape 7b --for finetune --precision bf16 --recompute layer --context 2048\n"
           "  stablelm fit --shape 7b --for finetune --rank 16 --quantize Q4_K --recompute layer --context 2048\n"
           "\n"
           "The first line says whether the run fits; when it does not, what would follows, and the exit code is 1.\n"
           "The numbers are those by which generate (context: prompt and new tokens) and score (--for score;\n"
           "context: the longest sequence) refuse a run that does not fit. Pages of mapped weight files count: without "
           "room\n"
           "for them every token would read the file again.";
  }
  unsigned Takes() const override { return kTakesModelFirst | kTakesThreads | kTakesDtype | kTakesLora | kTakesKv; }
  void AddOptions(CLI::App& app) override {
    AddChoice(app, "--shape", {"3b", "7b"}, "A released model's shape, stored as --dtype (default fp16), instead of -m",
              [this](size_t i) { shape_ = i == 0 ? "3b" : "7b"; });
    AddNumber(app, "--context", context_, Limits<int64_t>{1, int64_t{1} << 31},
              "Tokens of a sequence (default, and with 0: the model's context)");
    AddNumber(app, "--batch", batch_, Limits<int64_t>{1, 1 << 20}, "Sequences at the same time (default 1)");
    AddChoice(app, "--for", {"generate", "score", "finetune"}, "What to plan (default generate)", [this](size_t i) {
      constexpr Purpose kPurposes[] = {Purpose::kGenerate, Purpose::kScore, Purpose::kFinetune};
      purpose_ = kPurposes[i];
    });
    train_.Add(app, "With --for finetune: ");
    AddNumber(app, "--rank", rank_, Limits<int64_t>{1, kMaxLowRank},
              "With --for finetune: train adapters of this rank (LoRA) on the four matrices of every layer, over the "
              "model in --dtype or --quantize");
  }
  bool ModelIsNamed() const override { return !common.model.empty() || !shape_.empty(); }
  int Run(Output& out) override;

 private:
  enum class Purpose : uint8_t { kGenerate, kScore, kFinetune };
  // What a run may change to need less.
  struct Wish {
    DType kv = DType::kF32;
    int64_t context = 0;
    int64_t batch = 1;
    const QuantMix* quantize = nullptr;
  };
  struct Cure {
    std::string options;
    bool in_place_of_dtype = false;  // a stored model has its --dtype or its --quantize
    uint64_t bytes = 0;
  };
  void OpenModel(Output& out);
  // No value when the weights cannot have these types: they are quantized already.
  std::optional<MemoryPlan> Plan(const Wish& wish) const;
  WeightBytes WithLora(WeightBytes weights) const {
    weights.adapters = PlanAdapters(config_, adapters_);
    return weights;
  }
  std::vector<Cure> CuresOf(const Wish& wish, uint64_t available) const;
  // For --for finetune: one micro-batch of `batch` documents of `context` tokens.
  struct TrainWish {
    TrainOptions options;
    int64_t batch = 1, context = 0;
    std::optional<int64_t> rank;         // of adapters; none: the model's parameters are trained
    const QuantMix* quantize = nullptr;  // of the model below adapters
  };
  WeightBytes PlanBase(const TrainWish& wish) const;
  void RequireTrainOptions() const;
  bool IsFloat() const;  // no matrix of the model is quantized
  MemoryPlan PlanFinetune(const TrainWish& wish) const;
  std::vector<Cure> CuresOfFinetune(const TrainWish& wish, uint64_t available) const;
  void PrintText(const MemoryPlan& plan, const MemoryLimit& available, const std::vector<Cure>& cures,
                 Output& out) const;
  void PrintJson(const MemoryPlan& plan, const MemoryLimit& available, const std::vector<Cure>& cures,
                 Output& out) const;

  std::string shape_;
  std::optional<int64_t> context_;
  int64_t batch_ = 1;
  Purpose purpose_ = Purpose::kGenerate;
  TrainOptions train_;
  std::optional<int64_t> rank_;
  std::shared_ptr<const ModelFolder> folder_;  // null with --shape
  ModelConfig config_;
  std::vector<AdapterChoice> adapters_;
};

void Fit::OpenModel(Output& out) {
  if (common.model.empty() == shape_.empty()) {
    throw UsageError({.where = "fit",
                      .what = shape_.empty() ? "no model was given" : "the model is given twice",
                      .expected = "MODEL (or -m MODEL) or --shape 3b|7b",
                      .hint = shape_.empty() ? "such as `stablelm fit --shape 3b`" : "leave one of them out"});
  }
  std::error_code error;
  if (ModelConfig::FromShapeName(common.model) && !std::filesystem::exists(common.model, error)) {
    throw UsageError({.where = common.model,
                      .what = "no such folder",
                      .expected = "a model, or the name of a shape as --shape",
                      .hint = "stablelm fit --shape " + common.model});
  }
  if (shape_.empty()) {
    folder_ = ModelFolder::Open(common.model);
    for (const std::string& warning : folder_->warnings()) out.Warning(warning);
    config_ = folder_->config();
    TypesInMemory(common, *folder_, out);  // for its warnings and errors
  } else {
    config_ = *ModelConfig::FromShapeName(shape_);
  }
  adapters_ = OpenAdapters(common, config_, out);
  if (context_.value_or(0) > config_.max_positions) {
    throw Error({.where = "--context",
                 .what = "longer than the model's context",
                 .found = std::to_string(*context_),
                 .expected = "at most " + std::to_string(config_.max_positions),
                 .hint = "a shorter one, or leave it out for the model's whole context"});
  }
}

std::optional<MemoryPlan> Fit::Plan(const Wish& wish) const {
  RunShape run = purpose_ == Purpose::kScore ? ShapeOfScore(wish.context, wish.kv, common.threads)
                                             : ShapeOfGenerate(wish.context, wish.kv, common.threads);
  run.sequences = wish.batch;
  if (wish.batch > 1) {  // one row per sequence in each pass
    run.max_rows = std::max(run.max_rows, wish.batch);
    run.max_logit_rows = std::max(run.max_logit_rows, wish.batch);
  }
  std::vector<DType> chosen;
  // With --shape, --dtype is the stored type, which --quantize leaves.
  WeightTypes types = {.dtype = wish.quantize ? std::nullopt : common.dtype, .types = {}, .compute = common.compute};
  if (!folder_) {
    if (wish.quantize) chosen = ChooseTypes(*wish.quantize, {}, WeightTable(config_), nullptr);
    types.types = chosen;
    return PlanMemory(config_, WithLora(PlanWeights(config_, common.dtype.value_or(DType::kF16), types)), run);
  }
  try {
    std::vector<std::string> ignored;
    if (wish.quantize) chosen = TypesForLoading(*folder_, *wish.quantize, &ignored);
  } catch (const Error&) {
    return std::nullopt;
  }
  types.types = chosen;
  return PlanMemory(config_, WithLora(PlanWeights(*folder_, types)), run);
}

std::vector<Fit::Cure> Fit::CuresOf(const Wish& wish, uint64_t available) const {
  std::vector<Cure> cures;
  const auto try_it = [&](const std::string& options, const Wish& other) {
    const std::optional<MemoryPlan> plan = Plan(other);
    if (!plan || plan->Total() > available) return false;
    cures.push_back(
        {.options = options, .in_place_of_dtype = folder_ && common.dtype && other.quantize, .bytes = plan->Total()});
    return true;
  };
  // What is free changes by itself: a largest number keeps a distance.
  const uint64_t sure = available - available / 16;
  // The largest number from `least` to `most` with which the run fits, a multiple of `least`; 0 when there is none.
  const auto largest = [&](int64_t least, int64_t most, const Wish& from, int64_t Wish::*field) {
    int64_t low = 0, high = most / least;
    while (low < high) {
      const int64_t middle = low + (high - low + 1) / 2;
      Wish other = from;
      other.*field = middle * least;
      const std::optional<MemoryPlan> plan = Plan(other);
      plan && plan->Total() <= sure ? low = middle : high = middle - 1;
    }
    return low * least;
  };
  constexpr int64_t kUsefulContext = 256;
  for (const auto& [type, name] : {std::pair{DType::kF16, "fp16"}, std::pair{DType::kI8, "q8"}}) {
    Wish other = wish;
    other.kv = type;
    if (wish.kv == DType::kF32 || (wish.kv == DType::kF16 && type == DType::kI8)) {
      if (try_it(std::string("--kv ") + name, other)) break;
    }
  }
  for (const char* name : {"Q8_0", "Q4_K_M"}) {
    Wish other = wish;
    other.quantize = &QuantMixByName(name, "--quantize");
    if (!wish.quantize && try_it(std::string("--quantize ") + name, other)) break;
  }
  if (const int64_t batch = largest(1, wish.batch - 1, wish, &Wish::batch); batch > 0) {
    Wish other = wish;
    other.batch = batch;
    try_it("--batch " + std::to_string(batch), other);
  }
  if (const int64_t context = largest(kUsefulContext, wish.context, wish, &Wish::context); context > 0) {
    Wish other = wish;
    other.context = context;
    try_it("--context " + std::to_string(context), other);
  }
  if (!cures.empty()) return cures;
  // Everything at once.
  Wish least = wish;
  std::vector<std::string> options;
  if (!wish.quantize) {
    least.quantize = &QuantMixByName("Q4_K_M", "--quantize");
    if (Plan(least)) {
      options.emplace_back("--quantize Q4_K_M");
    } else {
      least.quantize = nullptr;
    }
  }
  if (wish.kv != DType::kI8) {
    least.kv = DType::kI8;
    options.emplace_back("--kv q8");
  }
  if (try_it(Joined(options, " "), least)) return cures;
  if (wish.batch > 1) {
    least.batch = std::max<int64_t>(1, largest(1, wish.batch - 1, least, &Wish::batch));
    options.push_back("--batch " + std::to_string(least.batch));
    if (try_it(Joined(options, " "), least)) return cures;
  }
  least.context = largest(kUsefulContext, wish.context, least, &Wish::context);
  options.push_back("--context " + std::to_string(least.context));
  if (least.context > 0) try_it(Joined(options, " "), least);
  return cures;
}

// The model below adapters, as a recipe's base_dtype and precision have it.
WeightBytes Fit::PlanBase(const TrainWish& wish) const {
  const std::string dtype = common.dtype ? std::string(NameOf(*common.dtype)) : "";
  if (folder_) {
    const std::string name = wish.quantize ? std::string(wish.quantize->name) : dtype;
    return PlanAdapterBase(*folder_, ChooseAdapterBase(*folder_, name, wish.options.precision));
  }
  const bool bf16 = wish.options.precision == Precision::kBF16;
  WeightTypes types = {.compute = bf16 ? Compute::kFast : Compute::kExact};
  std::vector<DType> chosen;
  if (wish.quantize) {
    chosen = ChooseTypes(*wish.quantize, {}, WeightTable(config_), nullptr);
    types.types = chosen;
  } else if (bf16) {
    types.dtype = DType::kBF16;
  }
  return PlanWeights(config_, common.dtype.value_or(DType::kF16), types);
}

bool Fit::IsFloat() const {
  for (size_t i = 0; folder_ && i < folder_->table().size(); ++i) {
    if (IsQuantized(*folder_->TensorOf(i).dtype)) return false;
  }
  return true;
}

MemoryPlan Fit::PlanFinetune(const TrainWish& wish) const {
  TrainShape shape = wish.options.ShapeOf(wish.batch, wish.context, common.threads);
  if (!wish.rank) return PlanTraining(config_, ParameterTable(config_, wish.options.trained), shape);
  shape.adapter_rank = *wish.rank;
  shape.precision = Precision::kF32;  // of the adapters
  return PlanTraining(config_, ParameterTable(config_, LoraOnAllTargets(*wish.rank)), shape, PlanBase(wish));
}

std::vector<Fit::Cure> Fit::CuresOfFinetune(const TrainWish& wish, uint64_t available) const {
  std::vector<Cure> cures;
  const auto try_it = [&](const std::string& options, const TrainWish& other) {
    const uint64_t bytes = PlanFinetune(other).Total();
    if (bytes <= available) cures.push_back({.options = options, .bytes = bytes});
    return bytes <= available;
  };
  const uint64_t sure = available - available / 16;  // for a largest number, as in CuresOf
  const auto largest = [&](int64_t least, const TrainWish& from, int64_t TrainWish::*field) {
    int64_t low = 0, high = (from.*field - 1) / least;
    while (low < high) {
      const int64_t middle = low + (high - low + 1) / 2;
      TrainWish other = from;
      other.*field = middle * least;
      PlanFinetune(other).Total() <= sure ? low = middle : high = middle - 1;
    }
    return low * least;
  };
  const int64_t step = wish.context > 512 ? 256 : 32;  // of useful contexts
  TrainWish layer = wish;
  layer.options.recompute = Recompute::kLayer;
  const bool keeps_more = wish.options.recompute != Recompute::kLayer;
  if (keeps_more) {
    TrainWish mlp = wish;
    mlp.options.recompute = Recompute::kMlp;
    if (wish.options.recompute != Recompute::kNone || !try_it("--recompute mlp", mlp))
      try_it("--recompute layer", layer);
  }
  TrainWish fewer = wish;
  fewer.batch = largest(1, wish, &TrainWish::batch);
  if (fewer.batch > 0) try_it("--batch " + std::to_string(fewer.batch), fewer);
  TrainWish shorter = wish;
  shorter.context = largest(step, wish, &TrainWish::context);
  if (shorter.context > 0) try_it("--context " + std::to_string(shorter.context), shorter);
  constexpr int64_t kUsualRank = 16;
  if (!wish.rank && wish.options.trained.empty() && wish.options.precision != Precision::kF16) {
    TrainWish adapters = wish;
    adapters.rank = kUsualRank;
    try_it("--rank " + std::to_string(kUsualRank), adapters);
  }
  TrainWish quantized = layer;
  quantized.quantize = &QuantMixByName("Q4_K", "--quantize");
  const bool quantizes = wish.rank && !wish.quantize && !common.dtype && IsFloat();
  if (quantizes) {
    TrainWish base = wish;
    base.quantize = quantized.quantize;
    try_it("--quantize Q4_K", base);
  }
  if (!cures.empty()) return cures;
  // Together: first without a change of what is trained, then with adapters, then with one layer.
  enum class Trained { kTheSame, kAdapters, kOneLayer };
  for (const Trained trained : {Trained::kTheSame, Trained::kAdapters, Trained::kOneLayer}) {
    if (trained != Trained::kTheSame && (wish.rank || !wish.options.trained.empty())) break;
    if (trained == Trained::kAdapters && wish.options.precision == Precision::kF16) continue;
    const bool adapters = trained == Trained::kAdapters, quantize = quantizes || (adapters && IsFloat());
    TrainWish least = quantize ? quantized : layer;
    std::vector<std::string> options;
    if (adapters) {
      least.rank = kUsualRank;
      options.push_back("--rank " + std::to_string(kUsualRank));
    }
    if (quantize) options.emplace_back("--quantize Q4_K");
    if (keeps_more) options.emplace_back("--recompute layer");
    if (adapters && try_it(Joined(options, " "), least)) return cures;
    if (trained == Trained::kOneLayer) {
      least.options.trained = {"*.layers." + std::to_string(config_.n_layers - 1) + ".*"};
      if (wish.options.precision == Precision::kF32) {  // what is not trained is 16 bits then
        least.options.precision = Precision::kBF16;
        options.emplace_back("--precision bf16");
      }
      options.push_back("--trained \"" + least.options.trained[0] + "\"");
      if (try_it(Joined(options, " "), least)) return cures;
    }
    if (wish.batch > 1) {
      least.batch = std::max<int64_t>(1, largest(1, least, &TrainWish::batch));
      options.push_back("--batch " + std::to_string(least.batch));
      if (try_it(Joined(options, " "), least)) return cures;
    }
    least.context = largest(step, least, &TrainWish::context);
    options.push_back("--context " + std::to_string(least.context));
    if (least.context > 0 && try_it(Joined(options, " "), least)) return cures;
  }
  return cures;
}

void Fit::RequireTrainOptions() const {
  if (common.compute != Compute::kExact || common.kv != DType::kF32 || !common.lora.empty()) {
    throw UsageError({.where = "--for finetune",
                      .what = "--compute, --lora and --kv are not options of training",
                      .hint = "`--precision` sets its arithmetic, `--rank` plans new adapters"});
  }
  if (!rank_ && (common.dtype || common.quantize)) {
    throw UsageError({.where = "--for finetune",
                      .what = "--dtype and --quantize are not options of training all parameters",
                      .hint = "`--precision` sets its arithmetic; below the adapters of `--rank` they are possible"});
  }
  if (rank_ && (!train_.trained.empty() || train_.precision == Precision::kF16)) {
    throw UsageError({.where = "--rank",
                      .what = train_.trained.empty() ? "adapters are not trained in fp16" : "contradicts --trained",
                      .expected = train_.trained.empty() ? "--precision fp32 or bf16" : "one of them",
                      .hint = train_.trained.empty() ? "such as `--precision bf16`" : "leave one of them out"});
  }
}

int Fit::Run(Output& out) {
  OpenModel(out);
  if (purpose_ == Purpose::kFinetune) {
    RequireTrainOptions();
    if (folder_ && !rank_) RequireTrainable(*folder_);
    const TrainWish wish = {.options = train_,
                            .batch = batch_,
                            .context = context_.value_or(config_.max_positions),
                            .rank = rank_,
                            .quantize = common.quantize};
    const MemoryPlan plan = PlanFinetune(wish);
    const MemoryLimit available = AvailableMemory();
    const bool fits = plan.Total() <= available.bytes;
    const std::vector<Cure> cures = fits ? std::vector<Cure>() : CuresOfFinetune(wish, available.bytes);
    out.json() ? PrintJson(plan, available, cures, out) : PrintText(plan, available, cures, out);
    return fits ? kExitOk : kExitFailed;
  }
  if (!train_.trained.empty() || train_.precision != Precision::kF32 || train_.recompute != Recompute::kNone || rank_) {
    throw UsageError({.where = "--precision, --recompute, --trained, --rank",
                      .what = "these are options of training",
                      .hint = "add `--for finetune`"});
  }
  const Wish wish = {.kv = common.kv,
                     .context = context_.value_or(config_.max_positions),
                     .batch = batch_,
                     .quantize = common.quantize};
  const std::optional<MemoryPlan> plan = Plan(wish);
  STABLELM_CHECK(plan);  // TypesInMemory has refused what cannot be
  const MemoryLimit available = AvailableMemory();
  const bool fits = plan->Total() <= available.bytes;
  const std::vector<Cure> cures = fits ? std::vector<Cure>() : CuresOf(wish, available.bytes);
  out.json() ? PrintJson(*plan, available, cures, out) : PrintText(*plan, available, cures, out);
  return fits ? kExitOk : kExitFailed;
}

void Fit::PrintJson(const MemoryPlan& plan, const MemoryLimit& available, const std::vector<Cure>& cures,
                    Output& out) const {
  JsonValue parts = JsonValue::Array();
  for (const MemoryPart& part : plan.parts) {
    parts.push_back({{"name", part.name}, {"bytes", part.bytes}, {"file_pages", part.file_pages}});
  }
  const bool fits = plan.Total() <= available.bytes;
  JsonValue object = {
      {"parts", parts}, {"total_bytes", plan.Total()}, {"anonymous_bytes", plan.Anonymous()}, {"fits", fits}};
  if (!fits) {
    JsonValue list = JsonValue::Array();
    for (const Cure& cure : cures) {
      JsonValue one = {{"options", cure.options}, {"total_bytes", cure.bytes}};
      if (cure.in_place_of_dtype) one["in_place_of"] = "--dtype";
      list.push_back(one);
    }
    object["would_fit"] = list;
  }
  if (available.known()) {
    object["available_bytes"] = available.bytes;
    object["available_by"] = available.by;
  }
  if (const MemoryLimit machine = TotalMemory(); machine.known()) object["machine_bytes"] = machine.bytes;
  if (common.quantize) object["quantize"] = common.quantize->name;
  if (!adapters_.empty()) object["lora"] = AdaptersJson(adapters_);
  object["compute"] = NameOf(common.compute);
  out.Json(object);
}

void Fit::PrintText(const MemoryPlan& plan, const MemoryLimit& available, const std::vector<Cure>& cures,
                    Output& out) const {
  const bool fits = plan.Total() <= available.bytes;
  const std::string of = available.known()
                             ? " of " + HumanBytes(available.bytes) + ", which " + available.by + " has free"
                             : "; how much is free is unknown";
  PrintWrapped(out, (fits ? "fits: " : "does not fit: ") + HumanBytes(plan.Total()) + of + "\n");
  if (!fits) {
    for (const Cure& cure : cures) {
      PrintWrapped(out, "  would fit with " + cure.options + (cure.in_place_of_dtype ? " in place of --dtype" : "") +
                            ": " + HumanBytes(cure.bytes) + "\n");
    }
    if (cures.empty()) PrintWrapped(out, "  no change of its options makes it fit; a smaller model may\n");
  }
  out.Text("\n");
  constexpr size_t kColumns = 78;
  const bool exact = FitsWindow(kColumns);
  const auto line = [&](const std::string& name, uint64_t bytes) {
    char text[160];
    if (exact) {
      std::snprintf(text, sizeof text, "%-40s %12s  %16llu bytes\n", name.c_str(), HumanBytes(bytes).c_str(),
                    static_cast<unsigned long long>(bytes));
    } else {
      std::snprintf(text, sizeof text, "%-34s  %8s\n", name.c_str(), HumanBytes(bytes).c_str());
    }
    PrintWrapped(out, text);
  };
  for (const MemoryPart& part : plan.parts) line(part.name, part.bytes);
  line("total", plan.Total());
}

}  // namespace

std::unique_ptr<Command> MakeFit() { return std::make_unique<Fit>(); }

}  // namespace stablelm
