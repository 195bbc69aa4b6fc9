// The recipe of a training run: which model, which prepared data, how the steps are made. docs/finetune.md lists the
// keys.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "dataset/recipe_file.h"
#include "train/divergence_guard.h"
#include "train/lora_options.h"
#include "train/loss_scale.h"
#include "train/optimizer.h"
#include "train/pack_batches.h"
#include "train/sample_answers.h"
#include "train/schedule.h"
#include "train/train_shape.h"

namespace stablelm {

struct RunRecipe {
  std::string name;
  std::filesystem::path folder;  // that relative paths start from
  std::string from;              // a model folder, GGUF file or hub id; "init": random weights of `shape`
  std::string shape;             // of init: "3b", "7b" or a config.json
  std::string tokenizer;         // of init: a folder with tokenizer.json
  std::string data;              // a folder that `prepare` made
  Precision precision = Precision::kF32;
  Recompute recompute = Recompute::kNone;
  std::vector<std::string> trained;  // patterns; empty: all parameters
  std::optional<LoraOptions> lora;   // trains adapters instead; its seed is that of the run
  std::string base_dtype;            // of the base below the adapters (train/adapter_base.h); empty: as in the files
  StepShape step;
  double epochs = 1;
  std::optional<int64_t> steps;  // in place of epochs
  OptimizerOptions optimizer;
  ScheduleOptions schedule;  // steps: 0, until the data are known
  LossScaleOptions loss_scale;
  uint64_t seed = 1;  // of the order of the packs, and of init's weights
  DType save_dtype = DType::kF16;
  int64_t validate_every = 100;  // steps; 0: never
  SampleOptions samples;         // without prompts: none
  int64_t samples_every = 100;   // steps
  GuardOptions guard;
  int64_t checkpoint_every = 100;  // steps; 0: at the end alone
  int64_t keep_last = 2;           // checkpoints
  int64_t keep_every = 0;          // also those whose step is a multiple; 0: none
};

struct LoadedRunRecipe {
  RunRecipe recipe;
  RecipeSettings settings;  // every key with its value and origin
  // The settings with absolute paths: a recipe that means the same in any folder.
  std::string absolute_yaml;
  // The settings that the trained model depends on, with the names of files and folders in place of their paths.
  std::string card_yaml;
  // Key and value of each setting that may not change while a run goes on: they decide the arithmetic. Not those of
  // the model and the data, whose content is compared in place of their paths.
  std::map<std::string, std::string> fixed;
};

// Throws Error with the place of what is wrong, UsageError at an override (dataset/recipe_file.h).
LoadedRunRecipe ReadRunRecipe(const std::filesystem::path& path, std::span<const std::string> sets = {});

}  // namespace stablelm
