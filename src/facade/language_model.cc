// The public class of include/stablelm/stablelm.h over the floors below.
#include <atomic>

#include "base/error.h"
#include "base/random.h"
#include "base/system.h"
#include "base/thread_pool.h"
#include "checkpoint/model_folder.h"
#include "generate/generator.h"
#include "generate/scoring.h"
#include "generate/settings.h"
#include "generate/text_stream.h"
#include "generate/token_ids.h"
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

void CheckSettings(const GenerationSettings& s) {
  const auto refuse = [](const char* field, const char* expected) {
    throw Error({.where = std::string("GenerationSettings::") + field,
                 .what = "value out of range",
                 .found = {},
                 .expected = expected,
                 .hint = {}});
  };
  if (s.max_new_tokens.value_or(1) < 1) refuse("max_new_tokens", "at least 1");
  if (!(s.temperature >= 0 && s.temperature <= 1e6)) refuse("temperature", "0 to 1e6");
  if (s.top_k < 0) refuse("top_k", "at least 0");
  if (!(s.top_p >= 0 && s.top_p <= 1)) refuse("top_p", "0 to 1");
}

}  // namespace

struct LanguageModel::Body {
  Body(Transformer loaded, size_t threads) : model(std::move(loaded)), pool(threads) {}
  Transformer model;
  mutable ThreadPool pool;
  std::optional<Tokenizer> tokenizer;
  std::vector<std::string> warnings;
  std::string folder;
  DType cache = DType::kF32;
  std::vector<int32_t> stop_ids;  // of all of the model's files and its tokenizer

  const Tokenizer& RequireTokenizer() const {
    if (tokenizer) return *tokenizer;
    throw Error({.where = folder,
                 .what = "tokenizer.json is missing",
                 .found = {},
                 .expected = "a tokenizer, to turn text into ids and back",
                 .hint = "copy the model's tokenizer.json into the folder"});
  }
  // The weights are loaded: what a call takes beside them must fit too.
  void RequireRoom(const RunShape& run) const { RequireFits(PlanMemory(model.config(), {}, run), AvailableMemory()); }
};

LanguageModel LanguageModel::Load(const std::string& path_or_hub_id, const LoadSettings& settings) {
  const size_t threads = settings.threads == 0 ? PhysicalCores() : settings.threads;
  const DType cache = settings.cache == CacheType::kFp32 ? DType::kF32 : DType::kF16;
  const std::optional<DType> type = TypeOf(settings.weights);
  const auto folder = ModelFolder::Open(path_or_hub_id);
  RequireFits(PlanMemory(folder->config(), PlanWeights(*folder, type), ShapeOfGenerate(1, cache, threads)),
              AvailableMemory());
  ThreadPool loading(threads);
  auto body = std::make_unique<Body>(
      Transformer::Load(
          folder, {.dtype = type, .check_values = settings.check_weights, .show_progress = false, .pool = &loading}),
      threads);
  body->warnings = folder->warnings();
  body->folder = folder->path().string();
  body->cache = cache;
  if (folder->source().HasTokenizer()) {
    body->tokenizer = folder->source().ReadTokenizer({.model_vocab_size = folder->config().vocab_size});
    for (const std::string& warning : body->tokenizer->warnings()) body->warnings.push_back(warning);
  }
  const Tokenizer* tokenizer = body->tokenizer ? &*body->tokenizer : nullptr;
  const ModelDefaults defaults = ReadModelDefaults(folder->source(), folder->config(), tokenizer);
  for (const std::string& warning : defaults.warnings) body->warnings.push_back(warning);
  for (const StopId& stop : ResolveStopIds(folder->config(), tokenizer, defaults, {}, {})) {
    body->stop_ids.push_back(stop.id);
  }
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

Generation LanguageModel::Generate(std::span<const int32_t> prompt, const GenerationSettings& settings,
                                   const OnToken& on_token) const {
  CheckSettings(settings);
  const ModelConfig& config = body_->model.config();
  GenerateRequest request;
  request.prompt.assign(prompt.begin(), prompt.end());
  request.max_new_tokens = settings.max_new_tokens;
  request.sampling = {.temperature = settings.temperature, .top_k = settings.top_k, .top_p = settings.top_p};
  request.seed = settings.seed ? *settings.seed : RandomSeed();
  (settings.ignore_end ? request.banned_ids : request.stop_ids) = body_->stop_ids;
  if (body_->tokenizer) request.known_ids = body_->tokenizer->size();
  const RunShape run = ShapeOfGenerate(config, request, body_->cache, body_->pool.NumThreads());
  body_->RequireRoom(run);

  Generation out;
  out.seed = request.seed;
  std::optional<TextStream> stream;
  if (body_->tokenizer) stream.emplace(*body_->tokenizer, request.stop_ids);
  std::atomic<bool> cancel{false};
  const auto take = [&](const ChosenToken& token) {
    const std::string text = stream ? stream->Add(token.id) : std::string();
    out.text += text;
    if (on_token && !on_token({.id = token.id, .logprob = token.logprob, .text = text})) cancel = true;
  };
  GenerateResult result =
      stablelm::Generate(body_->model, request, run, body_->pool, {.on_token = take, .cancel = &cancel});
  if (stream) out.text += stream->Finish();
  out.ids = std::move(result.ids);
  out.logprobs = std::move(result.logprobs);
  out.reason = ReasonOf(result.reason);
  return out;
}

std::vector<double> LanguageModel::Score(std::span<const int32_t> ids) const {
  CheckTokenIds(ids, body_->model.config(), "ids");
  const RunShape run = ShapeOfScore(static_cast<int64_t>(ids.size()), body_->cache, body_->pool.NumThreads());
  body_->RequireRoom(run);
  return Scorer(body_->model, run, body_->pool).Score(ids);
}

}  // namespace stablelm
