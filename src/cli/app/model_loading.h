// How commands come by a model: open the folder, say what is worth saying, refuse what does not fit, load.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/model_folder.h"
#include "cli/app/command.h"
#include "model/memory_plan.h"
#include "model/transformer.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

void RefuseQuantizeBesideDtype(const CommonOptions& common);  // throws UsageError

// What --quantize makes of the matrices of a model (LoadOptions::types); empty without it. Prints warnings. Throws
// UsageError beside --dtype, Error for a model that is quantized already.
std::vector<DType> TypesInMemory(const CommonOptions& common, const ModelFolder& model, Output& out);

// The model of -m: first only its headers are read, so that a command can check its input before anything large is
// loaded; then Load.
class ModelOfCommand {
 public:
  // Opens the folder and prints its warnings. Throws UsageError when -m was not given, Error when the folder is none.
  ModelOfCommand(const CommonOptions& common, Output& out);

  const ModelConfig& config() const { return folder_->config(); }
  const ModelSource& source() const { return folder_->source(); }
  const ModelFolder& opened() const { return *folder_; }
  // What Load will map and allocate.
  WeightBytes PlannedWeights() const {
    return PlanWeights(*folder_, {.dtype = common_.dtype, .types = types_, .compute = common_.compute});
  }
  // Null when the model has no tokenizer. Read at the first call.
  const Tokenizer* tokenizer();
  // Throws Error, which says that text needs tokenizer.json and that `instead` ("--ids") does not.
  const Tokenizer& RequireTokenizer(const std::string& instead);

  // Refuses, with the numbers, a run that does not fit into the memory of this machine; then loads. Call once.
  void Load(const RunShape& run, bool check_weights);
  const Transformer& model() const { return *model_; }
  ThreadPool& pool() { return *pool_; }
  // Opening and loading, tokenizer included.
  double load_seconds() const { return load_s_; }

 private:
  const CommonOptions& common_;
  Output& out_;
  std::shared_ptr<const ModelFolder> folder_;
  std::vector<DType> types_;  // of --quantize
  std::optional<Tokenizer> tokenizer_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Transformer> model_;
  double load_s_ = 0;
};

// --check-weights, of the commands that load a model.
void AddCheckWeights(CLI::App& app, bool& check_weights);

}  // namespace stablelm
