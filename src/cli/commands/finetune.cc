// stablelm finetune: trains a model on prepared data.
#include <algorithm>
#include <filesystem>

#include "base/ascii.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/system.h"
#include "checkpoint/rewrite/quant_mix.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"
#include "cli/commands/finetune_lines.h"
#include "cli/commands/train_options.h"
#include "train/finetune.h"
#include "train/run_watches.h"
#include "train/training_run.h"

namespace stablelm {
namespace {

class FineTuneCommand : public Command {
 public:
  std::string Name() const override { return "finetune"; }
  std::string Summary() const override { return "Train a model on prepared data"; }
  std::string Examples() const override {
    return "  stablelm prepare my-chats.jsonl -m models/stablelm-3b -o data/my-chats\n"
           "  stablelm finetune recipes/train/full.yaml --set from=models/stablelm-3b --set data=data/my-chats -o run\n"
           "  stablelm chat run/checkpoints/step-100\n"
           "  stablelm finetune recipes/train/tiny.yaml --dry-run\n"
           "  stablelm finetune recipes/train/qlora.yaml --set from=models/stablelm-3b --set data=data/my-chats -o "
           "run\n"
           "\n"
           "A recipe names a model (or `init` and a shape, for random weights), a folder that `stablelm prepare` made, "
           "and\n"
           "how the steps are made. RUN gets recipe.yaml, log.jsonl and, at the end, checkpoints/step-N: a model "
           "folder\n"
           "for chat, score, quantize and transformers. Ctrl-C ends the run after the step and saves what it has; a "
           "run\n"
           "cannot be resumed yet. docs/finetune.md tells more.";
  }
  unsigned Takes() const override { return kTakesThreads; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "RECIPE", "RECIPE", recipe_, "The recipe of the run (.yaml)");
    AddText(app, "-o,--out", "RUN", run_, "The folder to make; it must not exist (default: runs/NAME)");
    AddValues(app, "--set", "KEY=VALUE", "Change a setting of the recipe: optimizer.rate=1e-5; repeatable",
              [this](const std::string& text) { sets_.push_back(text); });
    AddFlag(app, "--dry-run", dry_run_, "Print every setting, the steps and the memory; train nothing");
  }

  int Run(Output& out) override {
    RequireGiven(!recipe_.empty(), "RECIPE", "recipes/train/tiny.yaml is a small one");
    const LoadedRunRecipe loaded = ReadRunRecipe(recipe_, sets_);
    FineTune tune(loaded.recipe);
    for (const std::string& warning : tune.warnings()) out.Warning(warning);
    const MemoryPlan plan = tune.Plan(common.threads);
    if (dry_run_) {
      PrintPlan(loaded, tune, plan, out);
      tune.RequireMemory(plan);
      return kExitOk;
    }
    const InterruptGuard guard;
    const std::filesystem::path run = RunFolder(loaded.recipe);
    const RunWatches watches(tune, loaded.settings, run);
    FineTuneLines lines(out);
    const RunResult result = Train(tune, {.folder = run,
                                          .recipe_yaml = loaded.settings.Yaml(),
                                          .threads = common.threads,
                                          .show_progress = out.show_progress(),
                                          .on_step = [&](const StepLog& step) { lines.Step(step); },
                                          .on_line = [&](const JsonValue& line) { lines.Line(line); },
                                          .stop = Interrupted,
                                          .watches = watches.List()});
    lines.HideBar();
    WriteReportOrWarn(run, out);
    if (out.json()) {
      out.Json({{"model", result.model.string()}, {"steps", result.steps}, {"stopped", result.stopped}});
    } else {
      out.Text((result.stopped ? "stopped after step " : "trained ") + std::to_string(result.steps) +
               (result.stopped ? "" : " steps") + "; the " + (loaded.recipe.lora ? "adapter" : "model") + " is " +
               result.model.string() + "\n");
      out.Note(HowToChat(loaded.recipe, tune, result.model.string()));
    }
    return result.stopped ? kExitInterrupted : kExitOk;
  }

 private:
  static std::string HowToChat(const RunRecipe& recipe, const FineTune& tune, const std::string& result) {
    if (!recipe.lora) return "stablelm chat " + result + " talks to it";
    const bool quantizes = std::ranges::any_of(QuantMixes(), [&](const QuantMix& mix) {
      return IsQuantized(mix.base) && LowerAscii(mix.name) == recipe.base_dtype;
    });
    return "stablelm chat -m " + tune.model()->path().string() + (quantizes ? " --quantize " + recipe.base_dtype : "") +
           " --lora " + result + " talks to it";
  }
  std::filesystem::path RunFolder(const RunRecipe& recipe) const {
    if (!run_.empty()) return run_;
    std::error_code error;
    std::filesystem::create_directory("runs", error);
    return std::filesystem::path("runs") / recipe.name;
  }
  static void PrintPlan(const LoadedRunRecipe& loaded, const FineTune& tune, const MemoryPlan& plan, Output& out) {
    const StepShape& shape = tune.batches().shape();
    if (out.json()) {
      out.Json({{"recipe", loaded.settings.Yaml()},
                {"steps", tune.steps()},
                {"packs_per_step", shape.packs()},
                {"steps_per_epoch", tune.batches().StepsOfEpoch()},
                {"most_tokens_per_step", shape.packs() * tune.batches().MostTokens() / shape.rows},
                {"memory", PartsJson(plan)},
                {"memory_total", plan.Total()}});
      return;
    }
    out.Text("settings in force (# where they are not the recipe's own):\n" + loaded.settings.Yaml(true) + "\n");
    out.Text(std::to_string(tune.steps()) + " steps of " + std::to_string(shape.packs()) + " packs, " +
             std::to_string(tune.batches().StepsOfEpoch()) + " steps an epoch\n\n");
    for (const MemoryPart& part : plan.parts) {
      const std::string bytes = HumanBytes(part.bytes);
      out.Text(std::string(bytes.size() < 10 ? 10 - bytes.size() : 0, ' ') + bytes + "  " + part.name + "\n");
    }
    out.Text(HumanBytes(plan.Total()) + " in all\n");
  }

  std::string recipe_, run_;
  std::vector<std::string> sets_;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeFinetune() { return std::make_unique<FineTuneCommand>(); }

}  // namespace stablelm
