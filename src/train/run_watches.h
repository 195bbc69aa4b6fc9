// The watches of a fine-tuning run: TensorBoard's event file, the guard against divergence, validation and sample
// answers, as the recipe wants them.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "dataset/recipe_file.h"
#include "train/finetune.h"
#include "train/training_watch.h"

namespace stablelm {

// {"event": "start", "name": ..., "model": ..., "parameters": N, "trained": N, "steps": N, "settings": [{"key",
// "value", "origin"}, ...], "data": {"name", "splits", "sources": [{"name", "kind", "licence", "rows", "kept",
// "samples", "tokens", "targets"}, ...]}}
JsonValue StartJson(const FineTune& tune, const RecipeSettings& settings);

class RunWatches {
 public:
  // `tune` outlives it. `run`: the folder of the run, which must be there when the first step is made.
  RunWatches(const FineTune& tune, const std::filesystem::path& run);
  ~RunWatches();

  // In the order in which a run must call them.
  std::vector<TrainingWatch*> List() const;

 private:
  std::vector<std::unique_ptr<TrainingWatch>> watches_;
};

}  // namespace stablelm
