// The loop of a training run: steps, log, checkpoints.
//
// The run folder holds recipe.yaml (every setting in force), log.jsonl (train/run_log.h) and checkpoints/step-N, a
// model folder that every command opens: weights, tokenizer, stablelm_chat.json and README.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json_value.h"
#include "train/finetune.h"
#include "train/run_log.h"
#include "train/training_watch.h"

namespace stablelm {

struct RunOptions {
  std::filesystem::path folder;  // to make; its parent must be there
  std::string recipe_yaml;
  size_t threads = 1;
  bool show_progress = true;
  std::function<void(const StepLog&)> on_step = {};
  std::function<void(const JsonValue&)> on_line = {};  // the other lines of the log
  std::function<bool()> stop = {};           // polled: true ends the run after the step in which it becomes true
  std::vector<TrainingWatch*> watches = {};  // not owned
};

struct RunResult {
  int64_t steps = 0;  // that were made
  bool stopped = false;
  StepLog last;
  std::filesystem::path model;
};

// Trains and saves. A run that is stopped saves what it has. Throws Error, also when the memory is not there or a value
// is not finite; then the run folder keeps its log.
RunResult Train(const FineTune& tune, const RunOptions& options);

}  // namespace stablelm
