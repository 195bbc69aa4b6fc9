// Implements stablelm/language_model.h with the lower floors.
#include "stablelm/language_model.h"

#include <atomic>

#include "base/error.h"
#include "base/system.h"
#include "facade/language_model_body.h"
#include "facade/translate.h"
#include "generate/prompt_logprobs.h"
#include "generate/scoring.h"
#include "generate/token_ids.h"
#include "model/pass_hooks.h"

namespace stablelm {
namespace {

Generation Run(SequenceGenerator& generator, const GenerateRequest& request, const std::stop_token& stop,
               const GenerationCallbacks& callbacks) {
  std::atomic<bool> cancel{false};
  const std::stop_callback cancels(stop, [&] { cancel = true; });
  return GenerationOf(generator.Generate(request, CallsOf(callbacks), &cancel), request);
}

}  // namespace

LanguageModel LanguageModel::Load(const std::string& model, const LoadSettings& settings) {
  return Guarded(ErrorKind::kInvalidModel, [&] {
    const OpenedModel opened(model);
    LoadPlan plan = PlanLoad(opened, settings);
    RequireRoom(opened, plan);
    auto body = std::make_unique<Body>(plan.threads);
    const auto on_progress = [&](uint64_t done, uint64_t total) {
      if (settings.cancel.stop_requested()) throw Cancelled();
      if (settings.on_progress) CallBack([&] { settings.on_progress({.done = done, .total = total}); });
    };
    body->loaded = LoadOpened(opened, std::move(plan), settings.check_weights, on_progress, body->pool);
    return LanguageModel(std::move(body));
  });
}

ModelInfo LanguageModel::Inspect(const std::string& model) {
  return Guarded(ErrorKind::kInvalidModel, [&] { return OpenedModel(model).Info(); });
}

MemoryEstimate LanguageModel::EstimateMemory(const std::string& model, const LoadSettings& settings) {
  return Guarded(ErrorKind::kInvalidModel, [&] {
    const OpenedModel opened(model);
    const LoadPlan wanted = PlanLoad(opened, settings);
    const MemoryPlan plan = PlanMemory(opened.folder().config(), PlanWeights(opened, wanted),
                                       ShapeOfGenerate(wanted.chat_context, wanted.cache, wanted.threads));
    const MemoryLimit available = AvailableMemory();
    MemoryEstimate estimate = {
        .total = plan.Total(), .limited_by = available.by, .fits = plan.Total() <= available.bytes};
    if (available.known()) estimate.available = available.bytes;
    for (const MemoryPart& part : plan.parts) {
      estimate.items.push_back({.name = part.name, .bytes = part.bytes, .file_pages = part.file_pages});
    }
    return estimate;
  });
}

LanguageModel::LanguageModel(std::unique_ptr<Body> body) : body_(std::move(body)) {}
LanguageModel::LanguageModel(LanguageModel&&) noexcept = default;
LanguageModel& LanguageModel::operator=(LanguageModel&&) noexcept = default;
LanguageModel::~LanguageModel() = default;

LanguageModel LanguageModel::Share() const {
  return Guarded(ErrorKind::kOther, [&] {
    auto body = std::make_unique<Body>(body_->loaded->threads);
    body->loaded = body_->loaded;
    return LanguageModel(std::move(body));
  });
}

const ModelInfo& LanguageModel::info() const { return body_->loaded->info; }

std::vector<int32_t> LanguageModel::Tokenize(std::string_view text, bool parse_special) const {
  return Guarded(ErrorKind::kUsage,
                 [&] { return body_->loaded->RequireTokenizer().Encode(text, {.parse_special = parse_special}); });
}

std::string LanguageModel::Detokenize(std::span<const int32_t> ids) const {
  return Guarded(ErrorKind::kUsage, [&] { return body_->loaded->RequireTokenizer().Decode(ids); });
}

Generation LanguageModel::Chat(const std::vector<ChatMessage>& conversation, const ChatSettings& settings,
                               const GenerationCallbacks& callbacks) {
  return Guarded(ErrorKind::kUsage, [&] {
    const LoadedModel& loaded = *body_->loaded;
    const Turns::Turn turn(body_->turns);
    const ChatPrompt prompt = loaded.RequestOf(conversation, settings, loaded.chat_context);
    if (!body_->chat) {
      const RunShape run = ShapeOfGenerate(loaded.chat_context, loaded.cache, loaded.threads);
      loaded.RequireRoom(run);
      body_->chat.emplace(loaded.model, run, body_->pool);
    }
    Generation out = Run(*body_->chat, prompt.request, settings.generation.cancel, callbacks);
    out.dropped_messages = prompt.dropped_messages;
    out.dropped_tokens = prompt.dropped_tokens;
    return out;
  });
}

Generation LanguageModel::Generate(std::string_view prompt, const GenerationSettings& settings,
                                   const GenerationCallbacks& callbacks) {
  return Generate(Tokenize(prompt), settings, callbacks);
}

Generation LanguageModel::Generate(std::span<const int32_t> prompt, const GenerationSettings& settings,
                                   const GenerationCallbacks& callbacks) {
  return Guarded(ErrorKind::kUsage, [&] {
    const LoadedModel& loaded = *body_->loaded;
    const Turns::Turn turn(body_->turns);
    const GenerateRequest request = loaded.RequestOf({prompt.begin(), prompt.end()}, settings);
    const RunShape run = ShapeOfGenerate(loaded.model.config(), request, loaded.cache, loaded.threads);
    loaded.RequireRoom(run);
    SequenceGenerator generator(loaded.model, run, body_->pool);
    return Run(generator, request, settings.cancel, callbacks);
  });
}

Scores LanguageModel::Score(std::string_view text, const ScoreSettings& settings) {
  return Score(Tokenize(text), settings);
}

Scores LanguageModel::Score(std::span<const int32_t> ids, const ScoreSettings& settings) {
  return Guarded(ErrorKind::kUsage, [&] {
    const LoadedModel& loaded = *body_->loaded;
    const int64_t vocab = loaded.model.config().vocab_size;
    const Turns::Turn turn(body_->turns);
    CheckTokenIds(ids, loaded.model.config(), "ids");
    loaded.CheckTopLogprobs(settings.top_logprobs);
    std::atomic<bool> cancel{false};
    const std::stop_callback cancels(settings.cancel, [&] { cancel = true; });
    const RunShape run = ShapeOfScore(static_cast<int64_t>(ids.size()), loaded.cache, loaded.threads);
    loaded.RequireRoom(run);
    Scorer scorer(loaded.model, run, body_->pool);
    if (settings.top_logprobs == 0) return Scores{.logprobs = scorer.Score(ids, {}, &cancel)};
    TopLogprobs finder(vocab);
    const TopWanted top = {.finder = &finder, .wanted = settings.top_logprobs, .known_ids = loaded.KnownIds()};
    PromptLogprobs result;
    const auto add = [&](int64_t first, int64_t, std::span<const float> logits) {
      AddPromptLogprobs(ids, first, logits, vocab, top, result);
    };
    scorer.Score(ids, {.logits = add, .hidden = {}}, &cancel);
    return Scores{.logprobs = std::move(result.logprobs), .top = AlternativesOf(result.top)};
  });
}

}  // namespace stablelm
