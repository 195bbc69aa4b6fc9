#include "cli/app/model_loading.h"

#include <algorithm>

#include "base/error.h"
#include "base/number_text.h"
#include "base/shell_word.h"
#include "base/stopwatch.h"
#include "base/system.h"
#include "checkpoint/rewrite/quantize_on_load.h"
#include "checkpoint/rewrite/tensor_copy.h"
#include "cli/app/bundled_model.h"
#include "cli/app/load_tokenizer.h"
#include "cli/app/options.h"
#include "model/load.h"

namespace stablelm {

namespace {

void RefuseQuantizeBesideDtype(const CommonOptions& common) {
  if (!common.quantize || !common.dtype) return;
  throw UsageError({.where = "--quantize",
                    .what = "contradicts --dtype: both say what the weights are in memory",
                    .hint = "leave one of them out"});
}

}  // namespace

std::vector<DType> TypesInMemory(const CommonOptions& common, const ModelFolder& model, Output& out) {
  RefuseQuantizeBesideDtype(common);
  const std::string_view into = common.quantize ? common.quantize->name : NameOf(common.dtype.value_or(DType::kQ8_0));
  if (const std::string note = DecodingNote(model, into); !note.empty()) {
    out.Note(note + (common.quantize || common.dtype ? "" : " (--dtype fp16 or --quantize TYPE: into another type)"));
  }
  if (!common.quantize) return {};
  std::vector<std::string> warnings;
  std::vector<DType> types = TypesForLoading(model, *common.quantize, &warnings);
  for (const std::string& warning : warnings) out.Warning(warning);
  return types;
}

void RequireModel(const CommonOptions& common, const std::string& given) {
  if (!common.model.empty()) return;
  const bool names_model = NamesModel(given);
  throw UsageError({.where = "--model",
                    .what = "no model was named",
                    .found = names_model ? Quoted(given) + " as the text" : "",
                    .expected = "a model folder, a .gguf file, or a hub id in the Hugging Face cache",
                    .hint = names_model
                                ? "a model is named by -m here: -m " + ShellWord(given)
                                : "-m MODEL, or the environment variable STABLELM_MODEL" + WhereBundledModelIs()});
}

std::vector<AdapterChoice> OpenAdapters(const CommonOptions& common, const ModelConfig& model, Output& out) {
  std::vector<AdapterChoice> adapters;
  for (const LoraOption& lora : common.lora) {
    adapters.push_back({.folder = AdapterFolder::Open(lora.path), .scale = lora.scale});
  }
  std::vector<std::string> warnings;
  CheckAdapters(model, adapters, &warnings);
  for (const std::string& warning : warnings) out.Warning(warning);
  return adapters;
}

JsonValue AdaptersJson(std::span<const AdapterChoice> adapters, bool paths) {
  JsonValue list = JsonValue::Array();
  for (const AdapterChoice& adapter : adapters) {
    JsonValue one = {{"alpha", adapter.folder->config().alpha}};  // sorted, as records of runs are compared
    if (paths) one["path"] = adapter.folder->path().string();
    one.Update(
        {{"rank", adapter.folder->config().rank}, {"scale", adapter.scale}, {"sha256", adapter.folder->Sha256()}});
    list.push_back(one);
  }
  return list;
}

std::string AdaptersText(const CommonOptions& common) {
  std::string text;
  for (const LoraOption& lora : common.lora) {
    text += " + " + lora.path;
    if (lora.scale != 1) text += ":" + NumberText(lora.scale);
  }
  return text;
}

ModelOfCommand::ModelOfCommand(const CommonOptions& common, Output& out, std::optional<int64_t> context)
    : common_(common), out_(out) {
  RequireModel(common);
  const Stopwatch watch(load_s_);
  folder_ = ModelFolder::Open(common.model);
  config_ = folder_->config();
  if (context && *context > config_.max_positions) {
    throw Error({.where = "--context",
                 .what = "longer than the model's context",
                 .found = std::to_string(*context),
                 .expected = "at most " + std::to_string(config_.max_positions),
                 .hint = "a shorter one, or leave it out for the model's whole context"});
  }
  config_.max_positions = context.value_or(config_.max_positions);
  for (const std::string& warning : folder_->warnings()) out.Warning(warning);
  types_ = TypesInMemory(common, *folder_, out);
  adapters_ = OpenAdapters(common, folder_->config(), out);
}

WeightBytes ModelOfCommand::PlannedWeights() const {
  WeightBytes bytes = PlanWeights(*folder_, {.dtype = common_.dtype, .types = types_, .compute = common_.compute});
  bytes.adapters = PlanAdapters(folder_->config(), adapters_);
  return bytes;
}

void ModelOfCommand::ReadTokenizer() {
  if (tokenizer_ || !source().HasTokenizer()) return;
  const Stopwatch watch(load_s_);
  tokenizer_ = source().ReadTokenizer({.model_vocab_size = folder_->config().vocab_size});
  for (const std::string& warning : tokenizer_->warnings()) out_.Warning(warning);
}

const Tokenizer* ModelOfCommand::tokenizer() {
  try {
    if (!unreadable_tokenizer_) ReadTokenizer();
  } catch (const Error& error) {
    unreadable_tokenizer_ = true;
    out_.Warning(error.Line() + "; text cannot be read or written, ids can");
  }
  return tokenizer_ ? &*tokenizer_ : nullptr;
}

const Tokenizer& ModelOfCommand::RequireTokenizer(const std::string& instead) {
  ReadTokenizer();
  if (tokenizer_) return *tokenizer_;
  throw Error({.where = source().path().string(),
               .what = source().gguf() ? "the file has no tokenizer" : "tokenizer.json is missing",
               .expected = "a tokenizer, to turn text into ids",
               .hint = (source().gguf() ? "" : "copy the model's tokenizer.json into the folder, or ") +
                       std::string("give ids: ") + instead});
}

ModelDefaults ModelOfCommand::ReadDefaults(const Tokenizer* tokenizer) const {
  ModelDefaults defaults = ReadModelDefaults(source(), config_, tokenizer);
  for (const AdapterChoice& adapter : adapters_) TakeChatRecordOf(adapter.folder->path(), tokenizer, defaults);
  return defaults;
}

void ModelOfCommand::Load(const RunShape& run, bool check_weights) {
  const Stopwatch watch(load_s_);
  const WeightBytes weights = PlannedWeights();
  RequireFits(PlanMemory(folder_->config(), weights, run), AvailableMemory());
  pool_ = std::make_unique<ThreadPool>(run.threads);
  auto base = LoadWeights(folder_, {.dtype = common_.dtype,
                                    .types = types_,
                                    .compute = common_.compute,
                                    .activation = common_.activation,
                                    .check_values = check_weights,
                                    .show_progress = out_.show_progress(),
                                    .pool = pool_.get()});
  model_ = std::make_unique<Transformer>(WithAdapters(std::move(base), adapters_));
  if (common_.quantize) {
    out_.Note("weights quantized to " + std::string(common_.quantize->name) + " while loading: " +
              HumanBytes(weights.mapped + weights.allocated) + " from " + HumanBytes(SourceBytes(*folder_)));
  }
  const auto quantized = [](const auto& matrices) { return IsQuantized(matrices.first); };
  if (common_.compute == Compute::kFast && std::ranges::all_of(model_->weights().MatrixBytes(), quantized)) {
    out_.Note("--compute fast changes nothing: all matrices are quantized, and their products have one arithmetic");
  }
}

void AddContext(CLI::App& app, std::optional<int64_t>& context, const std::string& help) {
  AddNumber(app, "--context", context, Limits<int64_t>{2, int64_t{1} << 31},
            help + " (default, and with 0: the model's context)");
}

void AddCheckWeights(CLI::App& app, bool& check_weights) {
  AddFlag(app, "--check-weights", check_weights,
          "Read every weight at load and refuse NaN and infinity, naming the tensor");
}

}  // namespace stablelm
