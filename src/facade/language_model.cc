// Implements the public class of include/stablelm/stablelm.h with the lower floors.
#include <atomic>

#include "base/error.h"
#include "base/nearest.h"
#include "base/random.h"
#include "base/system.h"
#include "base/thread_pool.h"
#include "checkpoint/model_folder.h"
#include "generate/generator.h"
#include "generate/scoring.h"
#include "generate/settings/generation_plan.h"
#include "generate/token_ids.h"
#include "model/load.h"
#include "model/memory_plan.h"
#include "prompt/context_policy.h"
#include "stablelm/stablelm.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {
namespace {

std::optional<DType> TypeOf(WeightType type) {
  switch (type) {
    case WeightType::kStored:
      return std::nullopt;
    case WeightType::kFp32:
      return DType::kF32;
    case WeightType::kFp16:
      return DType::kF16;
    case WeightType::kBf16:
      return DType::kBF16;
  }
  STABLELM_CHECK(false);
}

DType TypeOf(CacheType type) {
  switch (type) {
    case CacheType::kFp32:
      return DType::kF32;
    case CacheType::kFp16:
      return DType::kF16;
    case CacheType::kQ8:
      return DType::kI8;
  }
  STABLELM_CHECK(false);
}

EndReason ReasonOf(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return EndReason::kStop;
    case FinishReason::kLength:
      return EndReason::kLength;
    case FinishReason::kContext:
      return EndReason::kContext;
    case FinishReason::kCancelled:
      return EndReason::kCancelled;
    case FinishReason::kTime:
      return EndReason::kTime;
  }
  STABLELM_CHECK(false);
}

[[noreturn]] void RefuseName(const char* field, const std::string& found, const std::vector<std::string>& known) {
  throw Error({.where = field,
               .what = "unknown name",
               .found = Quoted(found),
               .expected = "one of " + Joined(known),
               .hint = DidYouMean(found, known)});
}

GenerationOptions OptionsOf(const GenerationSettings& settings) {
  GenerationOptions options;
  SettingValues& values = options.settings.values;
  const auto set = [&](const std::string& name, double value) {
    const std::optional<SettingSpec> spec = FindSetting(name);
    if (!spec) RefuseName("GenerationSettings::more", name, SettingNames());
    CheckSettingValue(value, *spec, name);
    values[name] = value;
  };
  for (const auto& [name, value] : settings.more) set(name, value);
  if (settings.temperature) set("temperature", *settings.temperature);
  if (settings.top_k) set("top_k", static_cast<double>(*settings.top_k));
  if (settings.top_p) set("top_p", *settings.top_p);
  if (settings.max_new_tokens) set("max_new_tokens", static_cast<double>(*settings.max_new_tokens));
  if (!settings.preset.empty()) {
    options.settings.preset = PresetOf(settings.preset);
    if (!options.settings.preset) RefuseName("GenerationSettings::preset", settings.preset, PresetNames());
  }
  options.stop_ids = settings.stop_ids;
  options.stop_strings = settings.stop;
  options.max_time_s = settings.max_time_s;
  options.ignore_eos = settings.ignore_end;
  return options;
}

Role RoleOf(ChatRole role) {
  switch (role) {
    case ChatRole::kSystem:
      return Role::kSystem;
    case ChatRole::kUser:
      return Role::kUser;
    case ChatRole::kAssistant:
      return Role::kAssistant;
  }
  STABLELM_CHECK(false);
}

ChatOptions ChatOptionsOf(const ChatSettings& settings) {
  ChatOptions options = {.prompt_template = {}, .system = settings.system, .no_system = settings.no_system};
  if (!settings.prompt_template.empty()) {
    options.prompt_template = PromptTemplateOf(settings.prompt_template);
    if (!options.prompt_template) {
      RefuseName("ChatSettings::prompt_template", settings.prompt_template, PromptTemplateNames());
    }
  }
  return options;
}

}  // namespace

struct LanguageModel::Body {
  Body(std::shared_ptr<const ModelWeights> weights, size_t threads) : model(std::move(weights)), pool(threads) {}
  Transformer model;
  ThreadPool pool;
  std::optional<Tokenizer> tokenizer;
  std::vector<std::string> warnings;
  std::string folder;
  DType cache = DType::kF32;
  ModelDefaults defaults;
  int64_t chat_context = 0;
  std::optional<SequenceGenerator> chat;  // created by the first Chat

  const Tokenizer* tokenizer_or_null() const { return tokenizer ? &*tokenizer : nullptr; }
  const Tokenizer& RequireTokenizer() const {
    if (tokenizer) return *tokenizer;
    throw Error({.where = folder,
                 .what = "tokenizer.json is missing",
                 .expected = "a tokenizer, to turn text into ids and back",
                 .hint = "copy the model's tokenizer.json into the folder"});
  }
  // The weights are already loaded; checks that the other memory of a call fits too.
  void RequireRoom(const RunShape& run) const { RequireFits(PlanMemory(model.config(), {}, run), AvailableMemory()); }

  // The request without its prompt.
  GenerateRequest RequestFor(const GenerationSettings& settings, std::optional<PromptTemplate> prompt_template) const {
    const GenerationOptions options = OptionsOf(settings);
    const GenerationPlan plan = PlanGeneration(options, model.config(), tokenizer_or_null(), defaults, prompt_template);
    GenerateRequest request;
    plan.Apply(options.ignore_eos, request);
    request.seed = settings.seed ? *settings.seed : RandomSeed();
    request.sample = settings.sample;
    request.tokenizer = tokenizer;
    return request;
  }
};

namespace {

Generation Run(SequenceGenerator& generator, const GenerateRequest& request, const std::stop_token& cancel_token,
               const GenerationCallbacks& callbacks) {
  std::atomic<bool> cancel{false};
  const std::stop_callback cancels(cancel_token, [&] { cancel = true; });
  ReplyCallbacks calls;
  if (callbacks.on_token) {
    calls.on_token = [&](const ChosenToken& token) {
      if (!callbacks.on_token({.id = token.id, .logprob = token.logprob})) cancel = true;
    };
  }
  if (callbacks.on_text) {
    calls.on_text = [&](std::string_view text) {
      if (!callbacks.on_text(text)) cancel = true;
    };
  }
  GenerateResult result = generator.Generate(request, calls, &cancel);
  return {.ids = std::move(result.ids),
          .logprobs = std::move(result.logprobs),
          .text = std::move(result.text),
          .reason = ReasonOf(result.reason),
          .stop_id = result.stop.id,
          .stop = std::move(result.stop.string),
          .seed = request.seed,
          .prompt_tokens = static_cast<int64_t>(request.prompt.size()),
          .shifted_tokens = result.shifted_tokens};
}

}  // namespace

LanguageModel LanguageModel::Load(const std::string& path_or_hub_id, const LoadSettings& settings) {
  const size_t threads = settings.threads == 0 ? PhysicalCores() : settings.threads;
  const DType cache = TypeOf(settings.cache);
  const std::optional<DType> type = TypeOf(settings.weights);
  const Compute compute = settings.compute == ComputeMode::kFast ? Compute::kFast : Compute::kExact;
  const auto folder = ModelFolder::Open(path_or_hub_id);
  RequireFits(PlanMemory(folder->config(), PlanWeights(*folder, {.dtype = type, .compute = compute}),
                         ShapeOfGenerate(1, cache, threads)),
              AvailableMemory());
  ThreadPool loading(threads);
  auto body = std::make_unique<Body>(LoadWeights(folder, {.dtype = type,
                                                          .compute = compute,
                                                          .check_values = settings.check_weights,
                                                          .show_progress = false,
                                                          .pool = &loading}),
                                     threads);
  body->warnings = folder->warnings();
  body->folder = folder->path().string();
  body->cache = cache;
  if (folder->source().HasTokenizer()) {
    body->tokenizer = folder->source().ReadTokenizer({.model_vocab_size = folder->config().vocab_size});
    for (const std::string& warning : body->tokenizer->warnings()) body->warnings.push_back(warning);
  }
  const int64_t most = folder->config().max_positions;
  if (settings.chat_context < 0 || settings.chat_context > most) {
    throw Error({.where = "LoadSettings::chat_context",
                 .what = "out of range",
                 .found = std::to_string(settings.chat_context),
                 .expected = "0 to " + std::to_string(most)});
  }
  body->chat_context = settings.chat_context == 0 ? most : settings.chat_context;
  body->defaults = ReadModelDefaults(folder->source(), folder->config(), body->tokenizer_or_null());
  for (const std::string& warning : body->defaults.warnings) body->warnings.push_back(warning);
  return LanguageModel(std::move(body));
}

LanguageModel::LanguageModel(std::unique_ptr<Body> body) : body_(std::move(body)) {}
LanguageModel::LanguageModel(LanguageModel&&) noexcept = default;
LanguageModel& LanguageModel::operator=(LanguageModel&&) noexcept = default;
LanguageModel::~LanguageModel() = default;

int64_t LanguageModel::vocab_size() const { return body_->model.config().vocab_size; }
int64_t LanguageModel::context_length() const { return body_->model.config().max_positions; }
bool LanguageModel::has_tokenizer() const { return body_->tokenizer.has_value(); }
const std::vector<std::string>& LanguageModel::warnings() const { return body_->warnings; }

std::vector<int32_t> LanguageModel::Tokenize(std::string_view text, bool parse_special) const {
  return body_->RequireTokenizer().Encode(text, {.parse_special = parse_special});
}

std::string LanguageModel::Detokenize(std::span<const int32_t> ids) const {
  return body_->RequireTokenizer().Decode(ids);
}

Generation LanguageModel::Chat(const std::vector<ChatMessage>& messages, const ChatSettings& settings,
                               const GenerationCallbacks& callbacks) {
  const Tokenizer& tokenizer = body_->RequireTokenizer();
  const std::optional<ContextPolicy> policy = ContextPolicyOf(settings.context_policy);
  if (!policy) RefuseName("ChatSettings::context_policy", settings.context_policy, ContextPolicyNames());
  ChatSetup setup = ResolveChatSetup(ChatOptionsOf(settings), body_->defaults.record, body_->defaults.record_from,
                                     body_->defaults.template_by_tokens);
  GenerateRequest request = body_->RequestFor(settings.generation, setup.prompt_template);
  Conversation conversation;
  for (const ChatMessage& message : messages) {
    conversation.push_back({.role = RoleOf(message.role), .text = message.text});
  }
  const FittedPrompt fitted = FitConversation(std::move(conversation), setup, tokenizer,
                                              LimitsFor(*policy, settings.reserve, body_->chat_context), {});
  request.prompt = fitted.prompt.ids;
  request.keep_on_shift = KeepOnShift(fitted.prompt, *policy);
  if (!body_->chat) {
    const RunShape run = ShapeOfGenerate(body_->chat_context, body_->cache, body_->pool.NumThreads());
    body_->RequireRoom(run);
    body_->chat.emplace(body_->model, run, body_->pool);
  }
  Generation out = Run(*body_->chat, request, settings.generation.cancel, callbacks);
  out.dropped_messages = static_cast<int64_t>(fitted.dropped_messages);
  out.dropped_tokens = fitted.dropped_tokens;
  return out;
}

Generation LanguageModel::Generate(std::span<const int32_t> prompt, const GenerationSettings& settings,
                                   const GenerationCallbacks& callbacks) {
  GenerateRequest request = body_->RequestFor(settings, {});
  request.prompt.assign(prompt.begin(), prompt.end());
  const RunShape run = ShapeOfGenerate(body_->model.config(), request, body_->cache, body_->pool.NumThreads());
  body_->RequireRoom(run);
  SequenceGenerator generator(body_->model, run, body_->pool);
  return Run(generator, request, settings.cancel, callbacks);
}

std::vector<double> LanguageModel::Score(std::span<const int32_t> ids) {
  CheckTokenIds(ids, body_->model.config(), "ids");
  const RunShape run = ShapeOfScore(static_cast<int64_t>(ids.size()), body_->cache, body_->pool.NumThreads());
  body_->RequireRoom(run);
  return Scorer(body_->model, run, body_->pool).Score(ids);
}

}  // namespace stablelm
