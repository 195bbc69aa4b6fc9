#include "train/training_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/atomic_file.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/progress.h"
#include "base/shell_word.h"
#include "base/system.h"
#include "checkpoint/huggingface/folder_hashes.h"
#include "dataset/recipe_yaml.h"
#include "ops/simd.h"
#include "prompt/chat_record.h"
#include "train/checkpoint.h"
#include "train/checkpoint_writer.h"
#include "train/run_estimate.h"
#include "train/run_sessions.h"
#include "train/run_state.h"
#include "train/run_watches.h"
#include "train/save_adapter.h"
#include "train/training_step.h"

namespace stablelm {
namespace {

double MeanOf(const std::vector<double>& values) {  // 0 of none: no step was applied yet
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

namespace fs = std::filesystem;

std::string Card(const FineTune& tune, const RunOptions& options, const RunState& state) {
  const Manifest& manifest = tune.manifest();
  std::string card = "---\nlibrary_name: " + std::string(tune.recipe().lora ? "peft" : "transformers") +
                     "\npipeline_tag: text-generation\n---\n# " + tune.recipe().name + "\n\n";
  card += tune.recipe().lora ? "LoRA adapter, trained by `stablelm finetune`, for the base " +
                                   DescribeBase(tune.model()->path(), tune.ModelHashes())
          : tune.model()
              ? "Fine-tuned from `" + tune.model()->path().filename().string() + "` by `stablelm finetune`.\n"
              : "Trained from random weights by `stablelm finetune`.\n";
  card += "\n## Data\nPrepared data `" + manifest.name + "`, SHA-256 of its files in `state.json`:\n\n";
  for (size_t i = 0; i < manifest.sources.size(); ++i) {
    card += "- " + manifest.sources[i] + ": " +
            (manifest.licences[i].empty() ? "licence not stated" : manifest.licences[i]) + "\n";
  }
  card += "\n## Training\n" + std::to_string(state.step) + " steps, loss " + Rounded(MeanOf(state.recent_losses), 4) +
          " (mean of the last " + Counted(state.recent_losses.size(), "step") + ").";
  if (state.best) {
    card += " Best validation loss " + Rounded(state.best->value, 4) + ", at step " + std::to_string(state.best->step) +
            ".";
  }
  return card + "\n\n```yaml\n" + options.recipe.card_yaml + "```\n";
}

// The settings that differ from those of the run so far.
void RequireSameSettings(const fs::path& run, const LoadedRunState& state, const RunOptions& options) {
  std::vector<std::string> keys, then, now;
  for (const auto& [key, value] : state.fixed) {
    const auto found = options.recipe.fixed.find(key);
    const std::string set = found == options.recipe.fixed.end() ? "not set" : found->second;
    if (set == value) continue;
    keys.push_back("`" + key + "`");
    now.push_back(key + ": " + set);
    then.push_back(key + ": " + value);
  }
  if (keys.empty()) return;
  throw Error({.where = run.string(),
               .what = Joined(keys) + (keys.size() == 1 ? " decides" : " decide") +
                       " what a run computes, and cannot change while it goes on",
               .found = Joined(now),
               .expected = Joined(then),
               .hint = "resume without the change, or start another run `from` a checkpoint of this one"});
}

// What is left of a run's state before its first step.
LoadedRunState NewState() {
  LoadedRunState state;
  state.watches = std::make_shared<const nlohmann::json>(nlohmann::json::object());
  return state;
}

class Session {
 public:
  Session(const FineTune& tune, const RunFolder& folder, const LoadedRunState& state, bool resumed,
          const RunOptions& options)
      : tune_(tune),
        folder_(folder),
        options_(options),
        state_(state),
        sessions_(folder.path(),
                  {.program = options.program,
                   .simd = SimdTargetInUse(),
                   .processor = CpuModelName(),
                   .threads = options.threads,
                   .start = UtcNow()},
                  state.step),
        log_(folder.log()),
        pool_(options.threads),
        parameters_(tune.MakeParameters(pool_, options.show_progress)),
        training_(parameters_, tune.ShapeFor(options.threads), tune.recipe().optimizer, tune.recipe().loss_scale,
                  pool_),
        buffers_(tune.recipe().step.micro_batches),
        batch_(buffers_.size()),
        writer_(parameters_) {
    if (resumed && !sessions_.last_simd().empty() && sessions_.last_simd() != SimdTargetInUse()) {
      Note("the run used " + sessions_.last_simd() + " instructions until now, and uses " + SimdTargetInUse() +
           " from here: its results differ within rounding from those of a run on one machine");
    }
    std::error_code error;
    fs::create_directory(folder.checkpoints(), error);
    if (state.step > 0) {
      LoadCheckpoint(folder.Checkpoint(state.step), tune, parameters_, pool_, options.show_progress);
      training_.Restore(state.updates, state.loss_scale);
      last_.step = state.step;
      last_.smoothed_loss = MeanOf(state.recent_losses);
      for (TrainingWatch* watch : options_.watches) {
        const auto known = state.watches->find(watch->Name());
        watch->Restore(known == state.watches->end() ? nlohmann::json() : *known, state.step);
      }
    } else {
      tune.SetInitial(parameters_, pool_, options.show_progress);
    }
    state_.fixed = options.recipe.fixed;
    state_.recipe_hash = HashOfSettings(state_.fixed);
    state_.data_hash = tune.DataHash();
    // A large model takes a while to hash: beside the first steps.
    if (state_.base_hash.empty()) base_hash_ = std::async(std::launch::async, [&tune] { return tune.BaseHash(); });
  }

  RunResult Run() {
    try {
      RunResult result = RunSteps();
      sessions_.End(result.steps, result.stopped ? "stopped" : "finished", result.hash);
      return result;
    } catch (const Error& error) {
      throw Error(WithResumeHint(error));
    }
  }

 private:
  RunResult RunSteps() {
    RunResult result;
    if (last_.step == 0) TellWatches(&TrainingWatch::AtStart, false);
    bool saved = last_.step > 0;  // the last step
    while (last_.step < tune_.steps()) {
      if (options_.stop && options_.stop()) {
        result.stopped = true;
        break;
      }
      MakeStep();
      const int64_t every = tune_.recipe().checkpoint_every;
      const bool last = last_.step == tune_.steps();
      saved = last || (every > 0 && last_.step % every == 0);
      TellWatches(&TrainingWatch::AfterStep, saved);
      if (saved) {
        TakeBest();
        StartCheckpoint();
      }
    }
    // The best is not asked for here: a run that is stopped must go on as if it had not been.
    if (!saved) StartCheckpoint();
    writer_.Finish();
    result.steps = last_.step;
    result.model = folder_.Checkpoint(last_.step);
    result.hash = HashOfHashes(result.model);
    return result;
  }

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
        now.checkpoint_wait = writer_.WaitForCopy();
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
    if (last_.skipped) ++state_.skipped;
  }

  void TellWatches(void (TrainingWatch::*hook)(const TrainingWatch::Moment&), bool checkpoint) {
    const std::function<void(const JsonValue&)> log = [&](const JsonValue& object) { LogLine(object); };
    for (TrainingWatch* watch : options_.watches) {
      (watch->*hook)({.step = last_,
                      .parameters = parameters_,
                      .pass = training_.pass(),
                      .pool = pool_,
                      .checkpoint = checkpoint,
                      .last = last_.step == tune_.steps(),
                      .log = log});
    }
  }

  double Rate() const {
    double rate = tune_.schedule().RateAt(training_.updates());
    for (const TrainingWatch* watch : options_.watches) rate *= watch->RateFactor();
    return rate;
  }

  static void Describe(const StepResult& made, StepLog& now) {
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
    std::vector<double>& recent = state_.recent_losses;
    if (!now.skipped && std::isfinite(now.loss)) recent.push_back(now.loss);
    if (recent.size() > kRecentSteps) recent.erase(recent.begin());
    now.smoothed_loss = MeanOf(recent);
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

  void Note(const std::string& text) const {
    if (options_.on_note) options_.on_note(text);
  }

  void TakeBest() {
    for (const TrainingWatch* watch : options_.watches) {
      const std::optional<double> value = watch->Value();
      if (value && (!state_.best || *value < state_.best->value)) state_.best = {.step = last_.step, .value = *value};
    }
  }

  // Begins to write a checkpoint of the parameters as they are.
  void StartCheckpoint() {
    state_.step = last_.step;
    state_.updates = training_.updates();
    state_.loss_scale = training_.loss_scale().state();
    state_.packs = static_cast<uint64_t>(last_.step) * tune_.recipe().step.packs();
    JsonValue watches = JsonValue::Object();
    for (const TrainingWatch* watch : options_.watches) watches[watch->Name()] = watch->State();

    std::map<std::string, std::string> texts;
    if (!tune_.recipe().lora) texts = tune_.ModelTexts();
    texts["README.md"] = Card(tune_, options_, state_);
    texts["training_recipe.yaml"] = options_.recipe.card_yaml;
    if (tune_.manifest().chat_record) texts[kChatRecordFile] = WriteChatRecord(*tune_.manifest().chat_record);
    writer_.Start({.out = folder_.Checkpoint(last_.step),
                   .model = {.dtype = tune_.recipe().save_dtype,
                             .tokenizer = tune_.tokenizer_folder(),
                             .base = tune_.model() ? tune_.model()->path().string() : "",
                             .texts = std::move(texts)},
                   .state =
                       [this, state = RunState(state_), watches]() mutable {
                         state.base_hash = BaseHash();
                         return WriteRunState(state, watches);
                       },
                   .before_commit = [this] { log_.Flush(); },
                   .after =
                       [this, best = state_.best](const std::string&) {
                         std::optional<int64_t> step;
                         if (best) step = best->step;
                         folder_.SetBest(step);
                         folder_.Prune(tune_.recipe().keep_last, tune_.recipe().keep_every, step);
                       }});
  }

  // On the writer's thread alone.
  const std::string& BaseHash() {
    if (base_hash_.valid()) known_base_hash_ = base_hash_.get();
    return known_base_hash_.empty() ? state_.base_hash : known_base_hash_;
  }

  // Ends the session, and says of an error how the run can go on.
  ErrorInfo WithResumeHint(const Error& error) {
    try {
      writer_.Finish();
    } catch (const std::exception&) {  // the first error is the one to tell
    }
    try {
      sessions_.End(last_.step, error.Line(), {});
    } catch (const std::exception&) {  // a full disk
    }
    ErrorInfo info = error.info();
    const std::vector<int64_t> steps = folder_.Steps();
    if (!steps.empty()) {
      info.hint += (info.hint.empty() ? "" : "; then ") +
                   ("`stablelm finetune --resume " + ShellWord(folder_.path().string())) + "` goes on after step " +
                   std::to_string(steps.back());
    }
    return info;
  }

  const FineTune& tune_;
  const RunFolder& folder_;
  const RunOptions& options_;
  RunState state_;
  RunSessions sessions_;
  RunLog log_;
  ThreadPool pool_;
  Parameters parameters_;
  TrainingStep training_;
  std::vector<BatchBuffer> buffers_;
  std::vector<TrainBatch> batch_;
  StepLog last_;
  std::future<std::string> base_hash_;
  std::string known_base_hash_;
  CheckpointWriter writer_;  // last: it reads the others
};

// The checkpoint's state, its files checked. Says which one is before it when it is damaged.
LoadedRunState ReadCheckpoint(const RunFolder& folder, int64_t step, bool show_progress) {
  const fs::path path = folder.Checkpoint(step);
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    const std::vector<int64_t> steps = folder.Steps();
    std::vector<std::string> names;
    for (const int64_t other : steps) names.push_back(folder.Checkpoint(other).filename().string());
    const fs::path last = steps.empty() ? folder.path() : folder.Checkpoint(steps.back());
    throw Error({.where = path.string(),
                 .what = "there is no such checkpoint",
                 .expected = names.empty() ? "none yet: resume the run's folder" : Joined(names),
                 .hint = "stablelm finetune --resume " + ShellWord(last.string())});
  }
  try {
    uint64_t bytes = 0;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(path, error)) bytes += fs::file_size(entry.path(), error);
    Progress progress("Checking the checkpoint", bytes, Progress::Unit::kBytes, show_progress);
    CheckFolderHashes(path, [&](size_t n) { progress.Add(n); });
    progress.Finish();
    LoadedRunState state = ReadRunState(path);
    if (state.step != step) {
      throw Error({.where = (path / kStateFile).string(),
                   .what = "the state of another step",
                   .found = std::to_string(state.step),
                   .expected = std::to_string(step)});
    }
    return state;
  } catch (const Error& error) {
    ErrorInfo info = error.info();
    std::vector<int64_t> before = folder.Steps();
    std::erase_if(before, [&](int64_t other) { return other >= step; });
    info.hint = before.empty() ? "no checkpoint is before it: start the run again"
                               : "go on from the one before: stablelm finetune --resume " +
                                     ShellWord(folder.Checkpoint(before.back()).string());
    throw Error(std::move(info));
  }
}

void RequireSameSources(const FineTune& tune, const LoadedRunState& state, bool show_progress) {
  if (const std::string hash = tune.DataHash(); hash != state.data_hash) {
    throw Error({.where = tune.data_folder().string(),
                 .what = "not the data that the run has been trained on",
                 .found = "hash " + hash.substr(0, 16),
                 .expected = state.data_hash.substr(0, 16),
                 .hint = "name the folder of the same data: --set data=FOLDER"});
  }
  // What is trained comes from the checkpoint; only what is not trained comes from the base.
  const auto& entries = tune.table().entries();
  if (tune.model() && !tune.recipe().lora && std::ranges::all_of(entries, &Parameter::trained)) return;
  Progress progress("Checking the model", 0, Progress::Unit::kBytes, show_progress);
  if (const std::string hash = tune.BaseHash([&](size_t n) { progress.Add(n); }); hash != state.base_hash) {
    throw Error({.where = tune.model() ? tune.model()->path().string() : "`shape` and `tokenizer`",
                 .what = "not the model that the run began with",
                 .found = "hash " + hash.substr(0, 16),
                 .expected = state.base_hash.substr(0, 16),
                 .hint = "name the same model: --set from=MODEL"});
  }
  progress.Finish();
}

}  // namespace

RunResult StartRun(const FineTune& tune, const fs::path& folder, const RunOptions& options) {
  RequireMemory(tune, options.threads);
  RunFolder::RequireNew(folder);
  tune.VerifyData(options.show_progress);
  JsonValue start = {{"event", "start"}, {"step", 0}};
  start.Update(StartJson(tune, options.recipe.settings));
  const RunFolder made = RunFolder::Create(folder, options.recipe.absolute_yaml, start);
  if (options.on_line) options.on_line(start);
  return Session(tune, made, NewState(), false, options).Run();
}

RunResult ResumeRun(const FineTune& tune, const RunFolder& folder, std::optional<int64_t> from,
                    const RunOptions& options) {
  const std::vector<int64_t> steps = folder.Steps();
  if (!from && !steps.empty()) from = steps.back();
  const LoadedRunState state = from ? ReadCheckpoint(folder, *from, options.show_progress) : NewState();
  if (from) {
    RequireSameSettings(folder.path(), state, options);
    RequireSameSources(tune, state, options.show_progress);
    if (state.step >= tune.steps()) {
      const fs::path model = folder.Checkpoint(state.step);
      if (options.on_note) {
        options.on_note("the run has made " + std::to_string(state.step) +
                        " steps already; --set steps=" + std::to_string(2 * state.step) + " trains for longer");
      }
      return {.steps = state.step, .model = model, .hash = HashOfHashes(model)};
    }
  }
  RequireMemory(tune, options.threads);
  tune.VerifyData(options.show_progress);
  // A later checkpoint would count as the last one, without the steps of the log that led to it.
  const std::vector<int64_t> aside = from ? folder.SetAsideAfter(*from) : std::vector<int64_t>();
  if (!aside.empty()) {
    folder.SetBest(state.best ? std::optional(state.best->step) : std::nullopt);
    std::vector<std::string> names;
    for (const int64_t step : aside) names.push_back(folder.Checkpoint(step).filename().string());
    if (options.on_note) {
      options.on_note("the run goes back to step " + std::to_string(*from) +
                      "; later checkpoints get the ending .aside: " + Joined(names));
    }
  }
  folder.CutLog(from);
  if (ReadTextFile(folder.recipe(), kMostRecipeBytes) != options.recipe.absolute_yaml) {
    WriteTextFileAtomically(folder.recipe(), options.recipe.absolute_yaml);
  }
  return Session(tune, folder, state, true, options).Run();
}

}  // namespace stablelm
