#include "train/finetune.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "base/system.h"
#include "checkpoint/gguf/gguf_tokenizer.h"
#include "checkpoint/huggingface/tokenizer_writer.h"
#include "checkpoint/path_or_hub_id.h"
#include "dataset/tokenizer_hash.h"
#include "dataset/verify.h"
#include "generate/batch/run_record.h"
#include "generate/settings/model_defaults.h"
#include "prompt/chat_record.h"
#include "prompt/generation_config.h"
#include "train/load_parameters.h"
#include "train/train_plan.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostTextBytes = size_t{1} << 26;

ModelConfig ShapeOfInit(const RunRecipe& recipe) {
  if (const auto config = ModelConfig::FromShapeName(recipe.shape)) return *config;
  return ReadConfig(PathOrHubId(recipe.folder, recipe.shape));
}

Schedule ScheduleFor(const RunRecipe& recipe, const PackBatches& batches) {
  ScheduleOptions options = recipe.schedule;
  const double packs = recipe.epochs * static_cast<double>(batches.StepsOfEpoch());
  options.steps = recipe.steps.value_or(std::max<int64_t>(1, std::llround(packs)));
  return Schedule(options);
}

void RequireFit(const fs::path& data, const Manifest& manifest, const TokenShards& shards, const ModelConfig& config,
                const std::string& hash) {
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

// What `chat` and `generate` will take for a checkpoint, or for the model with the adapters of one (`adapters`).
ModelDefaults DefaultsOfCheckpoint(const ModelSource& source, bool adapters, const Manifest& manifest,
                                   const ModelConfig& config, const Tokenizer& tokenizer) {
  ModelDefaults defaults = ReadModelDefaults(source, config, &tokenizer);
  if (adapters) {  // the model's files stay as they are, but for the chat record
    if (!manifest.chat_record) return defaults;
    std::erase_if(defaults.layers, [&](const SettingLayer& layer) { return layer.from == defaults.record_from; });
  } else {
    // A checkpoint has generation_config.json of the model, and files of its own in place of the others.
    const auto kept = source.ReadText(kGenerationConfigFile, kMostTextBytes);
    const auto goes = [&](const auto& layer) { return !kept || layer.from != kept->from; };
    std::erase_if(defaults.layers, goes);
    std::erase_if(defaults.token_lists, goes);
  }
  defaults.record.reset();
  if (manifest.chat_record) {
    defaults.record = manifest.chat_record;
    defaults.record_from = kChatRecordFile;
    defaults.layers.insert(defaults.layers.begin(), {kChatRecordFile, manifest.chat_record->generation});
  } else if (defaults.tuned) {
    defaults.record = CardChatRecord();
    defaults.record_from = kCardRecordFrom;
  }
  return defaults;
}

fs::path DataOf(const RunRecipe& recipe) { return PathOrHubId(recipe.folder, recipe.data); }

}  // namespace

FineTune::FineTune(const RunRecipe& recipe)
    : recipe_(recipe),
      data_(DataOf(recipe)),
      model_(recipe.from == "init" ? nullptr : ModelFolder::Open(PathOrHubId(recipe.folder, recipe.from))),
      tokenizer_(model_ ? model_->path() : fs::path(PathOrHubId(recipe.folder, recipe.tokenizer))),
      config_(model_ ? model_->config() : ShapeOfInit(recipe)),
      table_(recipe.lora ? ParameterTable(config_, *recipe.lora) : ParameterTable(config_, recipe.trained)),
      manifest_(ReadManifest(data_)),
      shards_(data_, kTrainSplit),
      batches_(std::make_unique<PackBatches>(shards_, recipe.step, recipe.seed)),
      schedule_(ScheduleFor(recipe, *batches_)) {
  if (recipe.lora) {
    base_ = ChooseAdapterBase(*model_, recipe.base_dtype, recipe.precision, &warnings_);
  } else if (model_) {
    RequireTrainable(*model_);
  }
  const Tokenizer tokenizer =
      model_ ? model_->source().ReadTokenizer({.model_vocab_size = config_.vocab_size})
             : Tokenizer::FromFile(tokenizer_ / "tokenizer.json", {.model_vocab_size = config_.vocab_size});
  tokenizer_hash_ = TokenizerHash(tokenizer);
  RequireFit(data_, manifest_, shards_, config_, tokenizer_hash_);
  if (recipe.validate_every > 0) validation_ = Validation::Open(data_, manifest_, recipe.step.rows);
  if (validation_) WarnOfUnvalidatedCheckpoints();
  if (!recipe.samples.prompts.empty()) {
    const auto source = model_ ? nullptr : ModelSource::Open(tokenizer_.string());
    const ModelDefaults defaults = DefaultsOfCheckpoint(source ? *source : model_->source(), recipe.lora.has_value(),
                                                        manifest_, config_, tokenizer);
    samples_.emplace(recipe.samples, config_, tokenizer, defaults, recipe.seed);
  }
}

void FineTune::WarnOfUnvalidatedCheckpoints() {
  const int64_t saved = recipe_.checkpoint_every, measured = recipe_.validate_every;
  if (saved == 0 || saved >= steps() || saved % measured == 0) return;
  const int64_t part = measured / std::gcd(saved, measured);  // of the checkpoints one in so many has a loss
  const bool meet = part <= (steps() - 1) / saved;
  warnings_.push_back("checkpoint_every, " + std::to_string(saved) + ", is not a multiple of validate_every, " +
                      std::to_string(measured) + ": `best` is chosen among the checkpoints with a validation loss, " +
                      (meet ? "every " + std::to_string(saved * part) + " steps and the last one" : "the last one"));
}

TrainShape FineTune::ShapeFor(size_t threads) const {
  const uint64_t documents = std::max(batches_->MostDocuments(), validation_ ? validation_->MostDocuments() : 0);
  return {.max_tokens = static_cast<int64_t>(batches_->MostTokens()),
          .max_documents = static_cast<int64_t>(documents),
          // The base below adapters has arithmetic of its own.
          .precision = recipe_.lora ? Precision::kF32 : recipe_.precision,
          .recompute = recipe_.recompute,
          .threads = threads,
          .adapter_rank = recipe_.lora ? recipe_.lora->rank : 0,
          .adapter_dropout = recipe_.lora && recipe_.lora->dropout > 0};
}

MemoryPlan FineTune::Plan(const TrainShape& shape) const {
  std::optional<WeightBytes> base;
  if (base_) base = PlanAdapterBase(*model_, *base_);
  MemoryPlan plan = PlanTraining(config_, table_, shape, base);
  if (samples_) plan.parts.push_back({"sample answers", samples_->Bytes(shape.threads), false});
  return plan;
}

std::map<std::string, std::string> FineTune::ModelTexts() const {
  std::map<std::string, std::string> texts;
  if (!model_ || !model_->source().gguf()) return texts;
  const ModelSource& source = model_->source();
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}) {
    if (const auto text = source.ReadText(name, kMostTextBytes)) texts[name] = text->text;
  }
  if (const auto text = source.ReadText(kGenerationConfigFile, kMostTextBytes))
    texts[kGenerationConfigFile] = text->text;
  if (!texts.contains("tokenizer.json")) {
    texts["tokenizer.json"] = WriteTokenizerJson(ReadGgufTokenizer(source.gguf()->header()));
  }
  return texts;
}

Parameters FineTune::MakeParameters(ThreadPool& pool, bool show_progress) const {
  const QkvOrder order = model_ ? model_->qkv_order() : QkvOrder::kPerHead;
  if (base_) return Parameters(LoadAdapterBase(model_, *base_, pool, show_progress), table_, order);
  return Parameters(config_, table_, recipe_.precision, order);
}

void FineTune::SetInitial(Parameters& parameters, ThreadPool& pool, bool show_progress) const {
  if (base_) return DrawAdapters(parameters, pool);
  if (!model_) return DrawParameters(recipe_.seed, parameters, pool);
  LoadParameters(*model_, parameters, pool, show_progress);
}

void FineTune::VerifyData(bool show_progress) const {
  uint64_t bytes = 0;
  for (const ShardFile& file : manifest_.shards) bytes += file.bytes;
  Progress progress("Checking the data", bytes, Progress::Unit::kBytes, show_progress);
  VerifyPreparedData(data_, [&](size_t n) { progress.Add(n); });
  progress.Finish();
}

std::string FineTune::DataHash() const {
  std::string text;
  for (const ShardFile& file : manifest_.shards) text += file.sha256 + "  " + file.name + "\n";
  return Sha256Hex(text);
}

std::string FineTune::BaseHash(const std::function<void(size_t)>& on_bytes) const {
  if (!model_) return Sha256Hex(WriteConfig(config_, DType::kF32) + tokenizer_hash_);
  std::string text = tokenizer_hash_;
  for (const auto& [name, hash] : ModelHashes(on_bytes)) {
    // They decide what a model answers, not what it learns.
    if (name != kGenerationConfigFile && name != kChatRecordFile) text += hash + "  " + name + "\n";
  }
  return Sha256Hex(text);
}

const std::map<std::string, std::string>& FineTune::ModelHashes(const std::function<void(size_t)>& on_bytes) const {
  std::call_once(hashed_, [&] { hashes_ = HashModelFiles(*model_, on_bytes); });
  return hashes_;
}

}  // namespace stablelm
