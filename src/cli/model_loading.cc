#include "cli/model_loading.h"

#include "base/error.h"
#include "base/stopwatch.h"
#include "base/system.h"
#include "cli/options.h"

namespace stablelm {

ModelOfCommand::ModelOfCommand(const CommonOptions& common, Output& out) : common_(common), out_(out) {
  RequireGiven(!common.model.empty(), "--model",
               "-m names a model folder, a .gguf file, or a hub id in the Hugging Face cache");
  const Stopwatch watch(load_s_);
  folder_ = ModelFolder::Open(common.model);
  for (const std::string& warning : folder_->warnings()) out.Warning(warning);
}

const Tokenizer* ModelOfCommand::tokenizer() {
  if (!source().HasTokenizer()) return nullptr;
  if (!tokenizer_) {
    const Stopwatch watch(load_s_);
    tokenizer_ = source().ReadTokenizer({.model_vocab_size = folder_->config().vocab_size});
    for (const std::string& warning : tokenizer_->warnings()) out_.Warning(warning);
  }
  return &*tokenizer_;
}

const Tokenizer& ModelOfCommand::RequireTokenizer(const std::string& instead) {
  if (const Tokenizer* found = tokenizer()) return *found;
  throw Error({.where = source().path().string(),
               .what = source().gguf() ? "the file has no tokenizer" : "tokenizer.json is missing",
               .found = {},
               .expected = "a tokenizer, to turn text into ids",
               .hint = (source().gguf() ? "" : "copy the model's tokenizer.json into the folder, or ") +
                       std::string("give ids: ") + instead});
}

void ModelOfCommand::Load(const RunShape& run, bool check_weights) {
  const Stopwatch watch(load_s_);
  RequireFits(PlanMemory(folder_->config(), PlanWeights(*folder_, common_.dtype), run), AvailableMemory());
  pool_ = std::make_unique<ThreadPool>(run.threads);
  model_ = std::make_unique<Transformer>(Transformer::Load(folder_,
                                                           {.dtype = common_.dtype,
                                                            .check_values = check_weights,
                                                            .show_progress = out_.show_progress(),
                                                            .pool = pool_.get()},
                                                           common_.activation));
}

void AddCheckWeights(CLI::App& app, bool& check_weights) {
  AddFlag(app, "--check-weights", check_weights,
          "Read every weight at load and refuse NaN and infinity, naming the tensor");
}

}  // namespace stablelm
