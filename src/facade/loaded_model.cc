#include "facade/loaded_model.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "base/system.h"
#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/huggingface/hub_cache.h"
#include "checkpoint/rewrite/gguf_metadata.h"
#include "checkpoint/rewrite/quantize_on_load.h"
#include "facade/translate.h"
#include "generate/generator.h"
#include "generate/settings/generation_plan.h"
#include "model/load.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

std::shared_ptr<const ModelSource> OpenSource(const std::string& name) {
  try {
    return ModelSource::Open(name);
  } catch (const Error& error) {
    std::error_code ignored;  // of a folder that may not be looked into, for instance: then it is not known
    if (fs::status(name, ignored).type() != fs::file_type::not_found) throw;
    const ErrorInfo& info = error.info();
    throw ModelError({.kind = ErrorKind::kNotFound,
                      .where = info.where,
                      .what = info.what,
                      .found = info.found,
                      .expected = info.expected,
                      .hint = info.hint});
  }
}

std::string TextOfKey(const GgufFile& gguf, const char* key) {
  return std::string(gguf.header().Text(key).value_or(std::string_view()));
}

std::string ModelName(const ModelSource& source) {
  if (const GgufFile* gguf = source.gguf()) {
    const std::string name = TextOfKey(*gguf, "general.name");
    return name.empty() ? source.path().stem().string() : name;
  }
  if (source.path() != source.name()) {
    if (const std::optional<HubId> id = ParseHubId(source.name())) return id->name;
  }
  std::error_code ignored;
  const fs::path whole = fs::weakly_canonical(source.path(), ignored);
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

std::string Licence(const ModelSource& source) {
  if (const GgufFile* gguf = source.gguf()) return TextOfKey(*gguf, "general.license");
  for (const CarriedFile& file : CarriedFiles()) {
    if (file.name != "README.md") continue;
    const auto readme = ReadCarried(source, file, nullptr);
    return readme ? LicenceOfReadme(readme->text) : std::string();
  }
  STABLELM_CHECK(false);
}

// In the order of the table.
std::vector<std::string> StoredTypes(const ModelFolder& folder) {
  std::vector<std::string> types;
  for (size_t i = 0; i < folder.table().size(); ++i) {
    const StoredTensor& tensor = folder.TensorOf(i);
    std::string type = tensor.TypeName();
    if (std::ranges::find(types, type) == types.end()) types.push_back(std::move(type));
  }
  return types;
}

}  // namespace

OpenedModel::OpenedModel(const std::string& name) : folder_(ModelFolder::Open(OpenSource(name))) {
  const ModelSource& source = folder_->source();
  std::string unreadable;
  try {
    if (source.HasTokenizer()) tokenizer_ = source.ReadTokenizer({.model_vocab_size = folder_->config().vocab_size});
  } catch (const Error& error) {  // what takes ids works without
    unreadable = error.Line() + "; left aside";
  }
  defaults_ = ReadModelDefaults(source, folder_->config(), tokenizer_ ? &*tokenizer_ : nullptr);
  if (!unreadable.empty()) defaults_.warnings.push_back(std::move(unreadable));
}

ModelInfo OpenedModel::Info(const ModelDefaults& defaults) const {
  const ModelConfig& config = folder_->config();
  ModelInfo info = {.path = folder_->path().string(),
                    .name = ModelName(folder_->source()),
                    .licence = Licence(folder_->source()),
                    .parameters = config.NumParameters(),
                    .stored_types = StoredTypes(*folder_),
                    .vocab_size = config.vocab_size,
                    .context_length = config.max_positions,
                    .layers = config.n_layers,
                    .width = config.hidden_size,
                    .heads = config.n_heads,
                    .has_tokenizer = tokenizer_.has_value(),
                    .warnings = folder_->warnings()};
  for (size_t i = 0; i < folder_->table().size(); ++i) info.stored_bytes += folder_->TensorOf(i).bytes;
  if (tokenizer_)
    info.warnings.insert(info.warnings.end(), tokenizer_->warnings().begin(), tokenizer_->warnings().end());
  info.warnings.insert(info.warnings.end(), defaults.warnings.begin(), defaults.warnings.end());
  if (defaults.record) {
    const ChatSetup setup = ResolveChatSetup({}, defaults.record, defaults.record_from, defaults.template_by_tokens);
    info.prompt_template = ChatTemplateOf(setup.prompt_template);
    info.system = setup.system.value_or("");
  }
  return info;
}

LoadPlan PlanLoad(const OpenedModel& model, const LoadSettings& settings) {
  const int64_t most = model.folder().config().max_positions;
  if (settings.chat_context < 0 || settings.chat_context > most) {
    throw UsageError({.where = "LoadSettings::chat_context",
                      .what = "out of range",
                      .found = std::to_string(settings.chat_context),
                      .expected = "0 to " + std::to_string(most),
                      .hint = "0 takes the model's whole context"});
  }
  LoadPlan plan = {.threads = settings.threads == 0 ? PhysicalCores() : settings.threads,
                   .cache = CacheTypeOf(settings.cache),
                   .chat_context = settings.chat_context == 0 ? most : settings.chat_context,
                   .compute = settings.compute == ComputeMode::kFast ? Compute::kFast : Compute::kExact};
  const WeightsWanted wanted = WeightsOf(settings.weights);
  plan.dtype = wanted.dtype;
  const std::string_view into = wanted.mix ? wanted.mix->name : NameOf(wanted.dtype.value_or(DType::kQ8_0));
  if (std::string note = DecodingNote(model.folder(), into); !note.empty()) plan.warnings.push_back(std::move(note));
  if (wanted.mix) {
    try {
      plan.types = TypesForLoading(model.folder(), *wanted.mix, &plan.warnings);
    } catch (const Error& error) {
      ErrorInfo info = error.info();
      info.hint = "WeightType::kStored runs the model as it is stored; or start from the original weights";
      throw UsageError(info);
    }
  }
  for (const LoraAdapter& adapter : settings.adapters) {
    if (!std::isfinite(adapter.scale)) {
      throw UsageError({.where = "LoraAdapter::scale",
                        .what = "not finite",
                        .found = std::to_string(adapter.scale),
                        .expected = "a number",
                        .hint = "1 applies the adapter as it was trained"});
    }
    plan.adapters.push_back({.folder = AdapterFolder::Open(adapter.path), .scale = adapter.scale});
  }
  CheckAdapters(model.folder().config(), plan.adapters, &plan.warnings);
  return plan;
}

WeightBytes PlanWeights(const OpenedModel& model, const LoadPlan& plan) {
  WeightBytes bytes = PlanWeights(model.folder(), plan.Weights());
  bytes.adapters = PlanAdapters(model.folder().config(), plan.adapters);
  return bytes;
}

const Tokenizer& LoadedModel::RequireTokenizer() const {
  if (tokenizer) return *tokenizer;
  throw Error({.where = info.path,
               .what = "the model has no tokenizer that can be read",
               .expected = "a tokenizer, to turn text into ids and back",
               .hint =
                   "copy the model's tokenizer.json into its folder (and make a GGUF file again from there), or use "
                   "the functions on ids"});
}

void LoadedModel::RequireRoom(const RunShape& run) const {
  RequireFits(PlanMemory(model.config(), {}, run), AvailableMemory());
}

void LoadedModel::CheckTopLogprobs(int64_t wanted) const {
  if (wanted >= 0 && wanted <= model.config().vocab_size) return;
  throw UsageError({.where = "top_logprobs",
                    .what = "out of range",
                    .found = std::to_string(wanted),
                    .expected = "0 to " + std::to_string(model.config().vocab_size)});
}

GenerateRequest LoadedModel::WithoutPrompt(const GenerationSettings& settings,
                                           std::optional<PromptTemplate> prompt_template) const {
  const GenerationOptions options = OptionsOf(settings);
  const GenerationPlan plan =
      PlanGeneration(options, model.config(), tokenizer ? &*tokenizer : nullptr, defaults, prompt_template);
  CheckTopLogprobs(settings.top_logprobs);
  GenerateRequest request;
  plan.Apply(options.ignore_eos, request);
  request.seed = settings.seed ? *settings.seed : RandomSeed();
  request.sample = settings.sample;
  request.top_logprobs = settings.top_logprobs;
  request.tokenizer = tokenizer;
  return request;
}

GenerateRequest LoadedModel::RequestOf(std::vector<int32_t> prompt, const GenerationSettings& settings) const {
  GenerateRequest request = WithoutPrompt(settings, {});
  request.prompt = std::move(prompt);
  return request;
}

ChatPrompt LoadedModel::RequestOf(const std::vector<ChatMessage>& conversation, const ChatSettings& settings,
                                  int64_t context) const {
  const Tokenizer& encoder = RequireTokenizer();
  const ContextPolicy policy = PolicyOf(settings.context_policy);
  ChatSetup setup =
      ResolveChatSetup(ChatOptionsOf(settings), defaults.record, defaults.record_from, defaults.template_by_tokens);
  ChatPrompt out = {.request = WithoutPrompt(settings.generation, setup.prompt_template)};
  const FittedPrompt fitted =
      FitConversation(ConversationOf(conversation), setup, encoder,
                      LimitsFor(policy, settings.reserve, context, model.config().max_positions), {});
  out.request.prompt = fitted.prompt.ids;
  out.request.keep_on_shift = KeepOnShift(fitted.prompt, policy);
  out.dropped_messages = static_cast<int64_t>(fitted.dropped_messages);
  out.dropped_tokens = fitted.dropped_tokens;
  return out;
}

void RequireRoom(const OpenedModel& model, const LoadPlan& plan) {
  RequireFits(
      PlanMemory(model.folder().config(), PlanWeights(model, plan), ShapeOfGenerate(1, plan.cache, plan.threads)),
      AvailableMemory());
}

std::shared_ptr<const LoadedModel> LoadOpened(const OpenedModel& model, LoadPlan plan, bool check_weights,
                                              const std::function<void(uint64_t, uint64_t)>& on_progress,
                                              ThreadPool& pool) {
  ModelDefaults defaults = model.defaults();
  const Tokenizer* const tokenizer = model.tokenizer() ? &*model.tokenizer() : nullptr;
  for (const AdapterChoice& adapter : plan.adapters) TakeChatRecordOf(adapter.folder->path(), tokenizer, defaults);
  ModelInfo info = model.Info(defaults);
  info.warnings.insert(info.warnings.end(), plan.warnings.begin(), plan.warnings.end());
  auto base = LoadWeights(model.shared_folder(), {.dtype = plan.dtype,
                                                  .types = std::move(plan.types),
                                                  .compute = plan.compute,
                                                  .check_values = check_weights,
                                                  .on_progress = on_progress,
                                                  .pool = &pool});
  Transformer transformer(WithAdapters(std::move(base), plan.adapters));
  return std::make_shared<const LoadedModel>(LoadedModel{.model = std::move(transformer),
                                                         .tokenizer = model.tokenizer(),
                                                         .defaults = std::move(defaults),
                                                         .info = std::move(info),
                                                         .cache = plan.cache,
                                                         .chat_context = plan.chat_context,
                                                         .threads = plan.threads});
}

}  // namespace stablelm
