#include "train/run_estimate.h"

#include <vector>

#include "base/stopwatch.h"
#include "train/step_timer.h"
#include "train/train_plan.h"
#include "train/training_step.h"

namespace stablelm {
namespace {

constexpr int kTimed = 3;

// Settings that need less memory than those of the recipe.
struct Change {
  std::string settings;  // "--set rows=1"
  TrainShape shape;
};

// In the order of their price: 16 bits cost exactness, what is computed again costs time, rows that follow one another
// cost little.
std::vector<Change> ChangesOf(const FineTune& tune, size_t threads) {
  const RunRecipe& recipe = tune.recipe();
  const auto rows = static_cast<int64_t>(recipe.step.rows);
  std::vector<Change> changes;
  for (const Precision precision : {recipe.precision, Precision::kBF16}) {
    if (precision != recipe.precision && (recipe.precision != Precision::kF32 || recipe.lora)) continue;
    for (const Recompute recompute : kRecomputes) {
      if (recompute < recipe.recompute) continue;
      for (const int64_t fewer : {rows, int64_t{1}}) {
        Change change = {.settings = {}, .shape = tune.ShapeFor(threads)};
        const auto set = [&](const std::string& setting) {
          change.settings += (change.settings.empty() ? "--set " : " --set ") + setting;
        };
        if (precision != recipe.precision) set("precision=" + std::string(NameOf(precision)));
        if (recompute != recipe.recompute) set("recompute=" + std::string(NameOf(recompute)));
        if (fewer != rows) {
          set("rows=1");
          set("micro_batches=" + std::to_string(static_cast<uint64_t>(rows) * recipe.step.micro_batches));
          change.shape.max_documents = (change.shape.documents() + rows - 1) / rows;
          change.shape.max_tokens /= rows;
        }
        if (!recipe.lora) change.shape.precision = precision;  // the base below adapters has arithmetic of its own
        change.shape.recompute = recompute;
        if (!change.settings.empty()) changes.push_back(std::move(change));
      }
    }
  }
  return changes;
}

}  // namespace

RunEstimate EstimateRun(const FineTune& tune, size_t threads, bool show_progress) {
  ThreadPool pool(threads);
  Parameters parameters = tune.MakeParameters(pool, show_progress);
  tune.SetInitial(parameters, pool, show_progress);
  TrainingStep training(parameters, tune.ShapeFor(threads), tune.recipe().optimizer, tune.recipe().loss_scale, pool);
  const StepShape& shape = tune.batches().shape();
  BatchBuffer buffer;
  double passes = 0, updates = 0;
  int64_t tokens = 0;
  for (uint64_t i = 0; i <= kTimed; ++i) {
    const TrainBatch batch =
        tune.batches().Read({.step = i / shape.micro_batches, .micro = i % shape.micro_batches}, buffer);
    StepTimer timer;
    const Clock::time_point start = Clock::now();
    const StepResult made = training.Run({&batch, 1}, tune.schedule().RateAt(0), {}, &timer);
    if (i == 0) continue;  // warms up
    const double update = timer.seconds(StepPart::kUpdate);
    passes += SecondsSince(start) - update;
    updates += update;
    tokens += made.tokens;
  }
  const double tokens_per_step = tune.TokensPerPack() * static_cast<double>(shape.packs());
  RunEstimate estimate;
  estimate.seconds_per_step = passes / static_cast<double>(tokens) * tokens_per_step + updates / kTimed;
  estimate.tokens_per_s = tokens_per_step / estimate.seconds_per_step;
  estimate.seconds = estimate.seconds_per_step * static_cast<double>(tune.steps());
  return estimate;
}

std::string CheapestChange(const FineTune& tune, size_t threads, const MemoryLimit& available) {
  const Change* smallest = nullptr;
  uint64_t least = tune.Plan(threads).Total();
  const std::vector<Change> changes = ChangesOf(tune, threads);
  for (const Change& change : changes) {
    const uint64_t bytes = tune.Plan(change.shape).Total();
    if (bytes <= available.bytes) return change.settings + " needs " + HumanBytes(bytes) + ", which is there";
    if (bytes < least) {
      least = bytes;
      smallest = &change;
    }
  }
  const std::string less = tune.recipe().lora ? "`base_dtype: q4_k` or a lower `lora.rank` need less"
                           : tune.recipe().from == "init"
                               ? "a smaller `shape` or fewer `trained` parameters need less"
                               : "fewer `trained` parameters or `lora: {rank: 16}` need less";
  return smallest ? smallest->settings + " needs the least of this model, " + HumanBytes(least) + ": " + less : less;
}

void RequireMemory(const FineTune& tune, size_t threads) {
  const MemoryPlan plan = tune.Plan(threads);
  const MemoryLimit available = AvailableMemory();
  if (plan.Total() > available.bytes) RequireFits(plan, available, CheapestChange(tune, threads, available));
}

}  // namespace stablelm
