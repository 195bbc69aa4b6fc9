// A recipe of a training run, opened and checked: the model, the prepared data, the schedule, the plan of the memory.
// train/training_run.h trains.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/model_folder.h"
#include "dataset/manifest.h"
#include "dataset/token_shards.h"
#include "model/memory_plan.h"
#include "train/adapter_base.h"
#include "train/pack_batches.h"
#include "train/parameter_table.h"
#include "train/parameters.h"
#include "train/run_recipe.h"
#include "train/sample_answers.h"
#include "train/schedule.h"
#include "train/train_shape.h"
#include "train/validation.h"

namespace stablelm {

// What a recipe stands for, opened and checked, before any memory is taken. Not copied.
class FineTune {
 public:
  // Throws Error: no such model or data; quantized matrices, unless adapters are trained; data of another tokenizer,
  // with longer sequences than the model's context, or with ids beyond its vocabulary; fewer packs than a step takes; a
  // sample prompt that does not fit the context.
  explicit FineTune(const RunRecipe& recipe);

  const RunRecipe& recipe() const { return recipe_; }
  const std::shared_ptr<const ModelFolder>& model() const { return model_; }  // null: random weights
  // Where the tokenizer is read; of a GGUF file, the file.
  const std::filesystem::path& tokenizer_folder() const { return tokenizer_; }
  const ModelConfig& config() const { return config_; }
  const ParameterTable& table() const { return table_; }
  const Schedule& schedule() const { return schedule_; }
  int64_t steps() const { return schedule_.options().steps; }
  const std::filesystem::path& data_folder() const { return data_; }
  const PackBatches& batches() const { return *batches_; }
  const Manifest& manifest() const { return manifest_; }
  const Validation* validation() const { return validation_ ? &*validation_ : nullptr; }  // null: none
  const SampleAnswers* samples() const { return samples_ ? &*samples_ : nullptr; }        // null: none
  // Lines for the user: matrices of the base that get another type than base_dtype, checkpoints without a validation
  // loss.
  const std::vector<std::string>& warnings() const { return warnings_; }
  // Small files of the model that a checkpoint of the whole model holds and tokenizer_folder() does not: those of a
  // GGUF file.
  std::map<std::string, std::string> ModelTexts() const;
  TrainShape ShapeFor(size_t threads) const;
  // Without values. Loads the base of adapters. Throws Error when the memory is not there.
  Parameters MakeParameters(ThreadPool& pool, bool show_progress) const;
  // What training begins with: the model, random weights, or adapters that change nothing.
  void SetInitial(Parameters& parameters, ThreadPool& pool, bool show_progress) const;
  MemoryPlan Plan(size_t threads) const { return Plan(ShapeFor(threads)); }
  MemoryPlan Plan(const TrainShape& shape) const;  // of the same run in another shape
  double TokensPerPack() const { return static_cast<double>(shards_.tokens()) / static_cast<double>(shards_.packs()); }

  // Reads the prepared data once and compares them with their manifest (dataset/verify.h). Throws Error, naming the
  // file that is damaged.
  void VerifyData(bool show_progress) const;
  // SHA-256 of the names and hashes of the data's files.
  std::string DataHash() const;
  // SHA-256 of what the model of the run begins with: weights, config and tokenizer, or shape and tokenizer of `init`.
  // `on_bytes`: as for ModelHashes.
  std::string BaseHash(const std::function<void(size_t)>& on_bytes = {}) const;
  // HashModelFiles of model(), which is not null. The first call reads the files, whoever makes it, and others wait for
  // it. Thread-safe.
  const std::map<std::string, std::string>& ModelHashes(const std::function<void(size_t)>& on_bytes = {}) const;

 private:
  void WarnOfUnvalidatedCheckpoints();

  const RunRecipe recipe_;
  std::filesystem::path data_;
  std::shared_ptr<const ModelFolder> model_;  // null: random weights
  std::filesystem::path tokenizer_;           // the folder whose tokenizer is copied
  ModelConfig config_;
  std::vector<std::string> warnings_;
  std::optional<AdapterBase> base_;  // of LoRA
  ParameterTable table_;
  Manifest manifest_;
  std::string tokenizer_hash_;
  TokenShards shards_;
  std::unique_ptr<PackBatches> batches_;
  Schedule schedule_;
  std::optional<Validation> validation_;
  std::optional<SampleAnswers> samples_;
  mutable std::once_flag hashed_;
  mutable std::map<std::string, std::string> hashes_;
};

}  // namespace stablelm
