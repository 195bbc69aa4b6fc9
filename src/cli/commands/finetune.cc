// stablelm finetune: trains a model on prepared data.
#include <algorithm>
#include <filesystem>
#include <optional>

#include "base/ascii.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/number_text.h"
#include "base/shell_word.h"
#include "base/system.h"
#include "base/version_info.h"
#include "checkpoint/rewrite/quant_mix.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"
#include "cli/commands/finetune_lines.h"
#include "cli/commands/train_options.h"
#include "train/finetune.h"
#include "train/run_estimate.h"
#include "train/run_folder.h"
#include "train/run_watches.h"
#include "train/training_run.h"

namespace stablelm {
namespace {

class FineTuneCommand : public Command {
 public:
  std::string Name() const override { return "finetune"; }
  std::string Summary() const override { return "Train a model on prepared data"; }
  std::string Examples() const override {
    return "  stablelm prepare my-chats.jsonl -m models/stablelm-3b -o my-chats\n"
           "  stablelm finetune recipes/train/full.yaml --set from=models/stablelm-3b --set data=my-chats -o run\n"
           "  stablelm chat run/checkpoints/step-100\n"
           "  stablelm finetune --resume run\n"
           "  stablelm finetune recipes/train/tiny.yaml --dry-run\n"
           "  stablelm finetune recipes/train/qlora.yaml --set from=models/stablelm-3b --set data=my-chats -o "
           "run\n"
           "\n"
           "A recipe names a model (or `init` and a shape, for random weights), a folder that `stablelm prepare` made, "
           "and\n"
           "how the steps are made. RUN gets recipe.yaml, log.jsonl and checkpoints/step-N: model folders for chat, "
           "score,\n"
           "quantize and transformers. Ctrl-C ends the run after the step and saves what it has, a second one at once. "
           "A\n"
           "run that is resumed gives the same bits as one that was never stopped, also after kill -9. "
           "docs/finetune.md\ntells more.";
  }
  unsigned Takes() const override { return kTakesThreads; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "RECIPE", "RECIPE", recipe_, "The recipe of the run (.yaml)");
    AddText(app, "-o,--out", "RUN", run_, "The folder to make; it must not exist (default: runs/NAME)");
    AddText(app, "--resume", "RUN", resume_,
            "Go on with a run that was stopped or killed: its folder, or one of its checkpoints");
    AddValues(app, "--set", "KEY=VALUE", "Change a setting of the recipe: optimizer.rate=1e-5",
              [this](const std::string& text) { sets_.push_back(text); });
    AddFlag(app, "--dry-run", dry_run_, "Print every setting, the steps and the memory; train nothing");
  }

  int Run(Output& out) override {
    if (!resume_.empty() && (!recipe_.empty() || !run_.empty())) {
      throw UsageError({.where = "--resume",
                        .what = "cannot be combined with RECIPE or --out",
                        .hint = "the run has its recipe, and --set changes its settings"});
    }
    if (resume_.empty()) RequireGiven(!recipe_.empty(), "RECIPE", "recipes/train/tiny.yaml is a small one");
    std::optional<int64_t> from;  // the checkpoint to go on from
    std::optional<RunFolder> folder;
    if (!resume_.empty()) {
      std::filesystem::path path = std::filesystem::path(resume_).lexically_normal();
      if (!path.has_filename()) path = path.parent_path();
      from = StepOfCheckpoint(path);
      if (from && path.parent_path().filename() == "checkpoints") path = path.parent_path().parent_path();
      folder.emplace(RunFolder::Open(path.empty() ? "." : path));
      recipe_ = folder->recipe().string();
    }
    const LoadedRunRecipe loaded = ReadRunRecipe(recipe_, sets_);
    const FineTune tune(loaded.recipe);
    for (const std::string& warning : tune.warnings()) out.Warning(warning);
    if (dry_run_) {
      DryRun(loaded, tune, out);
      return kExitOk;
    }
    const InterruptGuard guard;
    const std::filesystem::path run = folder ? folder->path() : DefaultFolder(loaded.recipe);
    const RunWatches watches(tune, run);
    FineTuneLines lines(out);
    const RunOptions options = {.recipe = loaded,
                                .program = "stablelm " STABLELM_VERSION " (commit " STABLELM_COMMIT ")",
                                .threads = common.threads,
                                .show_progress = out.show_progress(),
                                .on_step = [&](const StepLog& step) { lines.Step(step); },
                                .on_line = [&](const JsonValue& line) { lines.Line(line); },
                                .on_note = [&](const std::string& note) { out.Note(note); },
                                .stop = Interrupted,
                                .watches = watches.List()};
    const RunResult result = folder ? ResumeRun(tune, *folder, from, options) : StartRun(tune, run, options);
    lines.HideBar();
    WriteReportOrWarn(run, out);
    if (out.json()) {
      out.Json({{"model", result.model.string()},
                {"steps", result.steps},
                {"stopped", result.stopped},
                {"sha256", result.hash}});
    } else {
      out.Text((result.stopped ? "stopped after step " : "trained ") + std::to_string(result.steps) +
               (result.stopped ? "" : " steps") + "; the " + (loaded.recipe.lora ? "adapter" : "model") + " is " +
               result.model.string() + "\n");
    }
    if (result.stopped) {
      out.Note("stablelm finetune --resume " + ShellWord(run.string()) + " goes on");
    } else {
      out.Note(HowToChat(loaded.recipe, tune, result.model.string()));
    }
    return result.stopped ? kExitInterrupted : kExitOk;
  }

 private:
  static std::string HowToChat(const RunRecipe& recipe, const FineTune& tune, const std::string& result) {
    if (!recipe.lora) return "stablelm chat " + ShellWord(result) + " talks to it";
    const bool quantizes = std::ranges::any_of(QuantMixes(), [&](const QuantMix& mix) {
      return IsQuantized(mix.base) && LowerAscii(mix.name) == recipe.base_dtype;
    });
    return "stablelm chat -m " + ShellWord(tune.model()->path().string()) +
           (quantizes ? " --quantize " + recipe.base_dtype : "") + " --lora " + ShellWord(result) + " talks to it";
  }
  std::filesystem::path DefaultFolder(const RunRecipe& recipe) const {
    return run_.empty() ? std::filesystem::path("runs") / recipe.name : std::filesystem::path(run_);
  }
  // Nothing is loaded and timed when the plan does not fit.
  void DryRun(const LoadedRunRecipe& loaded, const FineTune& tune, Output& out) const {
    const MemoryPlan plan = tune.Plan(common.threads);
    const bool fits = plan.Total() <= AvailableMemory().bytes;
    const StepShape& shape = tune.batches().shape();
    if (!out.json()) {
      out.Text("settings in force (# where they are not the recipe's own):\n" + loaded.settings.Yaml(true) + "\n");
      out.Text(std::to_string(tune.steps()) + " steps of " + std::to_string(shape.packs()) + " packs, " +
               std::to_string(tune.batches().StepsOfEpoch()) + " steps an epoch\n\n");
      for (const MemoryPart& part : plan.parts) {
        const std::string bytes = HumanBytes(part.bytes);
        out.Text(std::string(bytes.size() < 10 ? 10 - bytes.size() : 0, ' ') + bytes + "  " + part.name + "\n");
      }
      out.Text(HumanBytes(plan.Total()) + " in all\n");
      out.Flush();
    }
    std::optional<RunEstimate> time;
    if (fits) time = EstimateRun(tune, common.threads, out.show_progress());
    if (out.json()) {
      JsonValue object = {{"recipe", loaded.settings.Yaml()},
                          {"steps", tune.steps()},
                          {"packs_per_step", shape.packs()},
                          {"steps_per_epoch", tune.batches().StepsOfEpoch()},
                          {"most_tokens_per_step", shape.packs() * tune.batches().MostTokens() / shape.rows},
                          {"memory", PartsJson(plan)},
                          {"memory_total", plan.Total()},
                          {"fits", fits}};
      if (time) {
        object["seconds_per_step"] = time->seconds_per_step;
        object["tokens_per_s"] = time->tokens_per_s;
        object["seconds"] = time->seconds;
      }
      out.Json(object);
    } else if (time) {
      out.Text("\nabout " + DurationText(time->seconds) + ": " + Rounded(time->seconds_per_step, 2) + " s a step, " +
               Rounded(time->tokens_per_s, 0) +
               " tokens/s, by three timed micro-batches; validation, samples and checkpoints come on top\n");
    }
    RequireMemory(tune, common.threads);
  }

  std::string recipe_, run_, resume_;
  std::vector<std::string> sets_;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeFinetune() { return std::make_unique<FineTuneCommand>(); }

}  // namespace stablelm
