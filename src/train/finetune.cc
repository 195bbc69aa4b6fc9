#include "train/finetune.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/system.h"
#include "dataset/tokenizer_hash.h"
#include "prompt/chat_record.h"
#include "train/load_parameters.h"
#include "train/save_parameters.h"
#include "train/train_plan.h"
#include "train/training_step.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

// A path of the recipe, or a hub id, which is no path below the recipe's folder.
std::string Resolved(const RunRecipe& recipe, const std::string& path) {
  std::error_code error;
  const fs::path relative = recipe.folder / path;
  return fs::exists(relative, error) ? relative.string() : path;
}

ModelConfig ShapeOfInit(const RunRecipe& recipe) {
  if (const auto config = ModelConfig::FromShapeName(recipe.shape)) return *config;
  return ReadConfig(Resolved(recipe, recipe.shape));
}

Schedule ScheduleFor(const RunRecipe& recipe, const PackBatches& batches) {
  ScheduleOptions options = recipe.schedule;
  const double packs = recipe.epochs * static_cast<double>(batches.StepsOfEpoch());
  options.steps = recipe.steps.value_or(std::max<int64_t>(1, std::llround(packs)));
  return Schedule(options);
}

void RequireFit(const fs::path& data, const Manifest& manifest, const TokenShards& shards, const ModelConfig& config,
                const Tokenizer& tokenizer) {
  const std::string hash = TokenizerHash(tokenizer);
  if (hash != manifest.tokenizer_hash) {
    throw Error({.where = data.string(),
                 .what = "the data were prepared with another tokenizer than the model's",
                 .found = "hash " + manifest.tokenizer_hash.substr(0, 16),
                 .expected = hash.substr(0, 16),
                 .hint = "prepare them for this model: stablelm prepare RECIPE -m MODEL -o FOLDER"});
  }
  if (shards.vocab_size() > config.vocab_size) {
    throw Error({.where = data.string(),
                 .what = "the data have a larger vocabulary than the model",
                 .found = std::to_string(shards.vocab_size()),
                 .expected = "at most " + std::to_string(config.vocab_size),
                 .hint = "prepare them for this model: stablelm prepare RECIPE -m MODEL -o FOLDER"});
  }
  if (shards.sequence_length() > config.max_positions) {
    throw Error({.where = data.string(),
                 .what = "its sequences are longer than the model's context",
                 .found = std::to_string(shards.sequence_length()),
                 .expected = "at most " + std::to_string(config.max_positions),
                 .hint = "prepare the data with --set sequence_length=" + std::to_string(config.max_positions)});
  }
}

fs::path DataOf(const RunRecipe& recipe) { return Resolved(recipe, recipe.data); }

}  // namespace

FineTune::FineTune(const RunRecipe& recipe)
    : recipe_(recipe),
      data_(DataOf(recipe)),
      model_(recipe.from == "init" ? nullptr : ModelFolder::Open(Resolved(recipe, recipe.from))),
      tokenizer_(model_ ? model_->path() : fs::path(Resolved(recipe, recipe.tokenizer))),
      config_(model_ ? model_->config() : ShapeOfInit(recipe)),
      manifest_(ReadManifest(data_)),
      shards_(data_, kTrainSplit),
      batches_(std::make_unique<PackBatches>(shards_, recipe.step, recipe.seed)),
      schedule_(ScheduleFor(recipe, *batches_)) {
  if (model_ && model_->source().gguf()) {
    throw Error({.where = model_->path().string(),
                 .what = "training starts from a model folder, not from a GGUF file",
                 .hint = "stablelm convert MODEL.gguf FOLDER makes one"});
  }
  if (model_) RequireTrainable(*model_);
  const Tokenizer tokenizer =
      model_ ? model_->source().ReadTokenizer({.model_vocab_size = config_.vocab_size})
             : Tokenizer::FromFile(tokenizer_ / "tokenizer.json", {.model_vocab_size = config_.vocab_size});
  RequireFit(data_, manifest_, shards_, config_, tokenizer);
}

TrainShape FineTune::ShapeFor(size_t threads) const {
  return {.max_tokens = static_cast<int64_t>(batches_->MostTokens()),
          .max_documents = static_cast<int64_t>(batches_->MostDocuments()),
          .precision = recipe_.precision,
          .recompute = recipe_.recompute,
          .threads = threads};
}

MemoryPlan FineTune::Plan(size_t threads) const {
  return PlanTraining(config_, ParameterTable(config_, recipe_.trained), ShapeFor(threads));
}

void FineTune::RequireMemory(const MemoryPlan& plan) const {
  RequireFits(plan, AvailableMemory(),
              "`recompute: layer`, `precision: bf16`, fewer `rows` or fewer `trained` parameters need less");
}

std::string FineTune::Card(const StepLog& last) const {
  std::string card = "---\nlibrary_name: transformers\npipeline_tag: text-generation\n---\n# " + recipe_.name + "\n\n";
  card += model_ ? "Fine-tuned from `" + model_->path().filename().string() + "` by `stablelm finetune`.\n"
                 : "Trained from random weights by `stablelm finetune`.\n";
  card += "\n## Data\nPrepared data `" + manifest_.name + "`, SHA-256 of its tokens in `manifest.json`:\n\n";
  for (size_t i = 0; i < manifest_.sources.size(); ++i) {
    card += "- " + manifest_.sources[i] + ": " +
            (manifest_.licences[i].empty() ? "licence not stated" : manifest_.licences[i]) + "\n";
  }
  card += "\n## Training\n" + std::to_string(last.step) + " steps, last loss " + Rounded(last.smoothed_loss, 4) +
          " (mean over about 20 steps). The settings are in `training_recipe.yaml`.\n";
  return card;
}

FineTune::Result FineTune::Run(const Options& options) {
  const TrainShape shape = ShapeFor(options.threads);
  const ParameterTable table(config_, recipe_.trained);
  RequireMemory(Plan(options.threads));
  std::error_code error;
  if (!fs::create_directory(options.run, error)) {
    throw Error(
        {.where = options.run.string(),
         .what = error ? "cannot make the folder of the run: " + error.message() : "the folder is there already",
         .hint = "name another one: -o FOLDER"});
  }
  WriteTextFileAtomically(options.run / "recipe.yaml", options.recipe_yaml);
  RunLog log(options.run / "log.jsonl");

  ThreadPool pool(options.threads);
  Parameters parameters(config_, table, recipe_.precision, model_ ? model_->qkv_order() : QkvOrder::kPerHead);
  if (model_) {
    LoadParameters(*model_, parameters, pool, options.show_progress);
  } else {
    DrawParameters(recipe_.seed, parameters, pool);
  }
  TrainingStep training(parameters, shape, recipe_.optimizer, recipe_.loss_scale, pool);
  std::vector<BatchBuffer> buffers(recipe_.step.micro_batches);
  std::vector<TrainBatch> batch(buffers.size());
  Result result;
  for (int64_t step = 0; step < steps(); ++step) {
    if (options.stop && options.stop()) {
      result.stopped = true;
      break;
    }
    const auto start = std::chrono::steady_clock::now();
    for (uint64_t micro = 0; micro < buffers.size(); ++micro) {
      batch[micro] = batches_->Read({.step = static_cast<uint64_t>(step), .micro = micro}, buffers[micro]);
    }
    const double rate = schedule_.RateAt(training.updates());
    const StepResult made = training.Run(batch, rate);
    StepLog& last = result.last;
    constexpr double kSmooth = 0.95;  // a mean over about 20 steps
    last.smoothed_loss = step == 0 ? made.loss : kSmooth * last.smoothed_loss + (1 - kSmooth) * made.loss;
    last.step = step + 1;
    last.steps = steps();
    last.epoch = batches_->EpochsBefore(static_cast<uint64_t>(step) + 1);
    last.loss = made.loss;
    last.rate = rate;
    last.gradient_norm = made.gradient_norm;
    last.loss_scale = made.loss_scale;
    last.tokens = made.tokens;
    last.loss_tokens = made.loss_tokens;
    last.skipped = made.skipped;
    last.overflow = made.overflow;
    last.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    log.Append(StepJson(last));
    if (options.on_step) options.on_step(last);
    result.steps = step + 1;
  }
  fs::create_directory(options.run / "checkpoints", error);
  result.model = options.run / "checkpoints" / ("step-" + std::to_string(result.steps));
  std::map<std::string, std::string> texts = {{"README.md", Card(result.last)},
                                              {"training_recipe.yaml", options.recipe_yaml}};
  if (manifest_.chat_record) texts[kChatRecordFile] = WriteChatRecord(*manifest_.chat_record);
  SaveParameters(parameters, result.model,
                 {.dtype = recipe_.save_dtype,
                  .tokenizer = tokenizer_,
                  .texts = std::move(texts),
                  .show_progress = options.show_progress},
                 pool);
  return result;
}

}  // namespace stablelm
