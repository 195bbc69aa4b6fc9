// A training run: a model, prepared data, steps, and the model that comes of it.
//
// The run folder holds recipe.yaml (every setting in force), log.jsonl (train/run_log.h) and, when the run ends,
// checkpoints/step-N, a model folder that every command opens: weights, tokenizer, stablelm_chat.json and README.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/thread_pool.h"
#include "checkpoint/model_folder.h"
#include "dataset/manifest.h"
#include "dataset/token_shards.h"
#include "model/memory_plan.h"
#include "train/pack_batches.h"
#include "train/parameters.h"
#include "train/run_log.h"
#include "train/run_recipe.h"

namespace stablelm {

// What a recipe stands for, opened and checked, before any memory is taken. Not copied.
class FineTune {
 public:
  // Throws Error: no such model or data; quantized matrices; data of another tokenizer, with longer sequences than the
  // model's context, or with ids beyond its vocabulary; fewer packs than a step takes.
  explicit FineTune(const RunRecipe& recipe);

  const ModelConfig& config() const { return config_; }
  int64_t steps() const { return schedule_.options().steps; }
  const PackBatches& batches() const { return *batches_; }
  const Manifest& manifest() const { return manifest_; }
  MemoryPlan Plan(size_t threads) const;
  // Throws Error, with what needs less, when this machine does not have the memory of the plan.
  void RequireMemory(const MemoryPlan& plan) const;

  struct Options {
    std::filesystem::path run;  // the folder to make; its parent must be there
    std::string recipe_yaml;
    size_t threads = 1;
    bool show_progress = true;
    std::function<void(const StepLog&)> on_step = {};
    std::function<bool()> stop = {};  // polled: true ends the run after the step in which it becomes true
  };
  struct Result {
    int64_t steps = 0;  // that were made
    bool stopped = false;
    StepLog last;
    std::filesystem::path model;
  };
  // Trains and saves. A run that is stopped saves what it has. Throws Error, also when the memory is not there or a
  // value is not finite; then the run folder keeps its log.
  Result Run(const Options& options);

 private:
  TrainShape ShapeFor(size_t threads) const;
  std::string Card(const StepLog& last) const;

  const RunRecipe recipe_;
  std::filesystem::path data_;
  std::shared_ptr<const ModelFolder> model_;  // null: random weights
  std::filesystem::path tokenizer_;           // the folder whose tokenizer is copied
  ModelConfig config_;
  Manifest manifest_;
  TokenShards shards_;
  std::unique_ptr<PackBatches> batches_;
  Schedule schedule_;
};

}  // namespace stablelm
