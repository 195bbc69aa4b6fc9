// Opens and loads the model that a command names: prints its warnings and refuses a run that does not fit into memory.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json_value.h"
#include "base/thread_pool.h"
#include "checkpoint/model_folder.h"
#include "cli/app/command.h"
#include "generate/settings/model_defaults.h"
#include "model/load_adapters.h"
#include "model/memory_plan.h"
#include "model/transformer.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

// The types that --quantize gives to a model's matrices (LoadOptions::types); empty without --quantize. Prints
// warnings, and a note when stored types have to be decoded. Throws UsageError when --dtype is given too, Error for a
// model that is quantized already.
std::vector<DType> TypesInMemory(const CommonOptions& common, const ModelFolder& model, Output& out);

// Opens the adapters of --lora and checks them against the model; prints their warnings. Throws Error.
std::vector<AdapterChoice> OpenAdapters(const CommonOptions& common, const ModelConfig& model, Output& out);
// "alpha", "path", "rank", "scale" and "sha256" (of its weights) of each adapter, for results. Without paths: for
// records of runs.
JsonValue AdaptersJson(std::span<const AdapterChoice> adapters, bool paths = true);
// " + DIR:SCALE" of each --lora, to name a model.
std::string AdaptersText(const CommonOptions& common);

// The model of -m, with the adapters of --lora. The constructor reads only the headers, so that a command can check its
// input before Load reads the weights.
class ModelOfCommand {
 public:
  // Opens the model and prints its warnings. `context` (--context) shortens the context in config(). Throws UsageError
  // when no model was named, Error when it is not a model or has fewer positions than `context`.
  ModelOfCommand(const CommonOptions& common, Output& out, std::optional<int64_t> context = std::nullopt);

  const ModelConfig& config() const { return config_; }
  // The model's own context, whatever --context is.
  int64_t longest_context() const { return folder_->config().max_positions; }
  const ModelSource& source() const { return folder_->source(); }
  const ModelFolder& opened() const { return *folder_; }
  // Bytes that Load will map and allocate.
  WeightBytes PlannedWeights() const;
  std::span<const AdapterChoice> adapters() const { return adapters_; }
  bool bundled() const { return common_.bundled; }  // TakeBundledModel
  // Null when the model has no tokenizer, or, with a warning, when it cannot be read. The first call reads it.
  const Tokenizer* tokenizer();
  // Throws Error when there is no tokenizer or it cannot be read; the hint suggests ids, written as in `instead`
  // ("--ids \"1 2 3\"").
  const Tokenizer& RequireTokenizer(const std::string& instead);

  // Settings of the model's files, with the chat record of the last adapter that has one. Throws Error.
  ModelDefaults ReadDefaults(const Tokenizer* tokenizer) const;

  // Loads the weights. Throws Error, with the sizes, when the run does not fit into this machine's memory. Call once.
  void Load(const RunShape& run, bool check_weights);
  const Transformer& model() const { return *model_; }
  ThreadPool& pool() { return *pool_; }
  // Time to open and load the model, tokenizer included.
  double load_seconds() const { return load_s_; }

 private:
  void ReadTokenizer();

  const CommonOptions& common_;
  Output& out_;
  std::shared_ptr<const ModelFolder> folder_;
  ModelConfig config_;
  std::vector<DType> types_;  // from --quantize
  std::vector<AdapterChoice> adapters_;
  std::optional<Tokenizer> tokenizer_;
  bool unreadable_tokenizer_ = false;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Transformer> model_;
  double load_s_ = 0;
};

// Adds --context, for commands whose context may be shorter than the model's.
void AddContext(CLI::App& app, std::optional<int64_t>& context, const std::string& help);

// Throws UsageError when no model was named. `given` is a positional argument that may name one, for the hint.
void RequireModel(const CommonOptions& common, const std::string& given = {});

// Adds --check-weights, for commands that load a model.
void AddCheckWeights(CLI::App& app, bool& check_weights);

}  // namespace stablelm
