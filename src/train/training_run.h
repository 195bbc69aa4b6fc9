// A training run: steps, log, checkpoints, in a run folder (train/run_folder.h).
//
// The bits of a run depend on recipe, data and machine class alone: not on threads, and not on how often it was
// stopped, killed and resumed. A checkpoint is made every `checkpoint_every` steps, at the end, and when the run is
// stopped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json_value.h"
#include "train/finetune.h"
#include "train/run_folder.h"
#include "train/run_log.h"
#include "train/run_recipe.h"
#include "train/training_watch.h"

namespace stablelm {

struct RunOptions {
  LoadedRunRecipe recipe;  // that `tune` was made of
  std::string program;     // name and version, for run.json
  size_t threads = 1;
  bool show_progress = true;
  std::function<void(const StepLog&)> on_step = {};
  std::function<void(const JsonValue&)> on_line = {};    // the other lines of the log
  std::function<void(const std::string&)> on_note = {};  // what a person should know
  std::function<bool()> stop = {};           // polled: true ends the run after the step in which it becomes true
  std::vector<TrainingWatch*> watches = {};  // not owned
};

struct RunResult {
  int64_t steps = 0;  // that the run has made, all sessions
  bool stopped = false;
  std::filesystem::path model;  // the last checkpoint
  std::string hash;             // of its files: the same for runs with the same bits
};

// Makes the folder and trains. Throws Error, also when the memory is not there or a value is not finite; the run folder
// keeps its checkpoints then.
RunResult StartRun(const FineTune& tune, const std::filesystem::path& folder, const RunOptions& options);

// Continues after checkpoint `from`, or the last one; from the beginning when the run has none. A finished run is left
// as it is. Throws Error as StartRun does, and: the checkpoint is damaged, or the run was made with other settings that
// decide the arithmetic, other data or another base.
RunResult ResumeRun(const FineTune& tune, const RunFolder& folder, std::optional<int64_t> from,
                    const RunOptions& options);

}  // namespace stablelm
