#include "train/training_run.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/system.h"
#include "prompt/chat_record.h"
#include "train/load_parameters.h"
#include "train/save_adapter.h"
#include "train/save_parameters.h"
#include "train/training_step.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

std::string Card(const FineTune& tune, const StepLog& last) {
  const Manifest& manifest = tune.manifest();
  std::string card = "---\nlibrary_name: " + std::string(tune.recipe().lora ? "peft" : "transformers") +
                     "\npipeline_tag: text-generation\n---\n# " + tune.recipe().name + "\n\n";
  card +=
      tune.recipe().lora ? "LoRA adapter, trained by `stablelm finetune`, for the base " + DescribeBase(*tune.model())
      : tune.model() ? "Fine-tuned from `" + tune.model()->path().filename().string() + "` by `stablelm finetune`.\n"
                     : "Trained from random weights by `stablelm finetune`.\n";
  card += "\n## Data\nPrepared data `" + manifest.name + "`, SHA-256 of its tokens in `manifest.json`:\n\n";
  for (size_t i = 0; i < manifest.sources.size(); ++i) {
    card += "- " + manifest.sources[i] + ": " +
            (manifest.licences[i].empty() ? "licence not stated" : manifest.licences[i]) + "\n";
  }
  card += "\n## Training\n" + std::to_string(last.step) + " steps, last loss " + Rounded(last.smoothed_loss, 4) +
          " (mean over about 20 steps). The settings are in `training_recipe.yaml`.\n";
  return card;
}

void MakeRunFolder(const RunOptions& options) {
  std::error_code error;
  if (!fs::create_directory(options.folder, error)) {
    throw Error(
        {.where = options.folder.string(),
         .what = error ? "cannot make the folder of the run: " + error.message() : "the folder is there already",
         .hint = "name another one: -o FOLDER"});
  }
  WriteTextFileAtomically(options.folder / "recipe.yaml", options.recipe_yaml);
}

// The state of a run between two steps.
class Loop {
 public:
  Loop(const FineTune& tune, const RunOptions& options)
      : tune_(tune),
        options_(options),
        log_(options.folder / kLogFile),
        pool_(options.threads),
        parameters_(tune.MakeParameters(pool_, options.show_progress)),
        training_(parameters_, tune.ShapeFor(options.threads), tune.recipe().optimizer, tune.recipe().loss_scale,
                  pool_),
        buffers_(tune.recipe().step.micro_batches),
        batch_(buffers_.size()) {
    tune.SetInitial(parameters_, pool_, options.show_progress);
  }

  RunResult Run() {
    RunResult result;
    if (last_.step == 0) TellWatches(&TrainingWatch::AtStart);
    while (last_.step < tune_.steps()) {
      if (options_.stop && options_.stop()) {
        result.stopped = true;
        break;
      }
      MakeStep();
    }
    result.steps = last_.step;
    result.last = last_;
    result.model = Save();
    return result;
  }

 private:
  void MakeStep() {
    const auto start = std::chrono::steady_clock::now();
    const auto step = static_cast<uint64_t>(last_.step);
    for (uint64_t micro = 0; micro < buffers_.size(); ++micro) {
      batch_[micro] = tune_.batches().Read({.step = step, .micro = micro}, buffers_[micro]);
    }
    StepLog now = {.step = last_.step + 1, .steps = tune_.steps(), .epoch = tune_.batches().EpochsBefore(step + 1)};
    now.rate = Rate();
    try {
      const auto before_update = [&](const StepResult& before) -> std::optional<double> {
        Describe(before, now);
        const auto allows = [&](TrainingWatch* watch) { return watch->AllowsUpdate(now); };
        if (!std::ranges::all_of(options_.watches, allows)) return std::nullopt;
        return now.rate = Rate();
      };
      const StepResult made = training_.Run(batch_, now.rate, {}, nullptr, before_update);
      Describe(made, now);
      Log(now, start);
    } catch (const NonFiniteStep& error) {
      Describe(error.result(), now);
      Log(now, start);
      if (!std::ranges::any_of(options_.watches, [&](TrainingWatch* watch) { return watch->Forgives(now, error); }))
        throw;
    }
    TellWatches(&TrainingWatch::AfterStep);
  }

  void TellWatches(void (TrainingWatch::*hook)(const TrainingWatch::Moment&)) {
    const std::function<void(const JsonValue&)> log = [&](const JsonValue& object) { LogLine(object); };
    for (TrainingWatch* watch : options_.watches) {
      (watch->*hook)({.step = last_,
                      .parameters = parameters_,
                      .pass = training_.pass(),
                      .pool = pool_,
                      .last = last_.step == tune_.steps(),
                      .log = log});
    }
  }

  double Rate() const {
    double rate = tune_.schedule().RateAt(training_.updates());
    for (const TrainingWatch* watch : options_.watches) rate *= watch->RateFactor();
    return rate;
  }

  void Describe(const StepResult& made, StepLog& now) const {
    constexpr double kSmooth = 0.95;                                      // a mean over about 20 steps
    now.smoothed_loss = made.skipped               ? last_.smoothed_loss  // 0: no step was applied yet
                        : last_.smoothed_loss == 0 ? made.loss
                                                   : kSmooth * last_.smoothed_loss + (1 - kSmooth) * made.loss;
    now.loss = made.loss;
    now.gradient_norm = made.gradient_norm;
    now.loss_scale = made.loss_scale;
    now.tokens = made.tokens;
    now.loss_tokens = made.loss_tokens;
    now.skipped = made.skipped;
    now.overflow = made.overflow;
  }

  void Log(StepLog& now, std::chrono::steady_clock::time_point start) {
    now.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    now.memory_bytes = ReadMemoryUse().resident;
    last_ = now;
    log_.Append(StepJson(last_));
    if (options_.on_step) options_.on_step(last_);
  }

  void LogLine(const JsonValue& object) {
    JsonValue line = {{"event", object.At("event")}, {"step", last_.step}};
    line.Update(object);
    log_.Append(line);
    if (options_.on_line) options_.on_line(line);
  }

  fs::path Save() {
    std::error_code error;
    fs::create_directory(options_.folder / "checkpoints", error);
    const fs::path model = options_.folder / "checkpoints" / ("step-" + std::to_string(last_.step));
    std::map<std::string, std::string> texts;
    if (!tune_.recipe().lora) texts = tune_.ModelTexts();
    texts["README.md"] = Card(tune_, last_);
    texts["training_recipe.yaml"] = options_.recipe_yaml;
    if (tune_.manifest().chat_record) texts[kChatRecordFile] = WriteChatRecord(*tune_.manifest().chat_record);
    if (tune_.recipe().lora) {
      SaveAdapter(parameters_, tune_.model()->path().string(), model,
                  {.dtype = tune_.recipe().save_dtype, .texts = std::move(texts)});
      return model;
    }
    SaveParameters(parameters_, model,
                   {.dtype = tune_.recipe().save_dtype,
                    .tokenizer = tune_.tokenizer_folder(),
                    .texts = std::move(texts),
                    .show_progress = options_.show_progress},
                   pool_);
    return model;
  }

  const FineTune& tune_;
  const RunOptions& options_;
  RunLog log_;
  ThreadPool pool_;
  Parameters parameters_;
  TrainingStep training_;
  std::vector<BatchBuffer> buffers_;
  std::vector<TrainBatch> batch_;
  StepLog last_;
};

}  // namespace

RunResult Train(const FineTune& tune, const RunOptions& options) {
  tune.RequireMemory(tune.Plan(options.threads));
  MakeRunFolder(options);
  return Loop(tune, options).Run();
}

}  // namespace stablelm
