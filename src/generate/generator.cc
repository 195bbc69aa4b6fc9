#include "generate/generator.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "generate/cancel_observer.h"
#include "generate/token_ids.h"
#include "model/chunked_forward.h"

namespace stablelm {
namespace {

using Clock = std::chrono::steady_clock;
double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

SamplerSetup SetupOf(const GenerateRequest& request) {
  return {.options = request.sampling,
          .seed = request.seed,
          .sample = request.sample,
          .stop_ids = request.stop_ids,
          .banned_ids = request.banned_ids,
          .known_ids = request.known_ids,
          .top_logprobs = request.top_logprobs,
          .tokenizer = request.tokenizer};
}

const char* NameOf(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContext:
      return "context";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kTime:
      return "time";
  }
  STABLELM_CHECK(false);
}

RunShape ShapeOfGenerate(int64_t context, DType kv, size_t threads) {
  RunShape run;
  run.context = context;
  run.kv_type = kv;
  run.max_rows = std::min(run.max_rows, context);
  run.threads = threads;
  return run;
}

RunShape ShapeOfGenerate(const ModelConfig& config, const GenerateRequest& request, DType kv, size_t threads,
                         const std::string& where) {
  CheckTokenIds(request.prompt, config, where);
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t rest = config.max_positions - prompt;
  return ShapeOfGenerate(prompt + std::min(rest, request.max_new_tokens.value_or(rest)), kv, threads);
}

struct SequenceGenerator::State {
  const Transformer& model;
  ForwardContext ctx;
  KvCache cache;
  KvSequence sequence;
  std::vector<int32_t> ids;  // the text whose first sequence.length() positions are in the cache
  SamplerWorkspace workspace;

  State(const Transformer& of, const RunShape& run, ThreadPool& pool)
      : model(of),
        ctx(of.config(), run, pool),
        cache(of.config(), run.kv_type, KvCache::PagesFor(run.context)),
        sequence(cache),
        workspace(of.config().vocab_size) {}

  // Keeps of the cache what belongs to the prompt, but for its last position, whose logits are wanted. Returns how many
  // positions that are.
  int64_t Keep(const std::vector<int32_t>& prompt) {
    const size_t most = std::min(prompt.size() - 1, static_cast<size_t>(sequence.length()));
    const auto differ = std::mismatch(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(most), ids.begin());
    sequence.Truncate(differ.first - prompt.begin());
    ids = prompt;
    return sequence.length();
  }
};

SequenceGenerator::SequenceGenerator(const Transformer& model, const RunShape& run, ThreadPool& pool)
    : state_(std::make_unique<State>(model, run, pool)) {}
SequenceGenerator::SequenceGenerator(SequenceGenerator&&) noexcept = default;
SequenceGenerator& SequenceGenerator::operator=(SequenceGenerator&&) noexcept = default;
SequenceGenerator::~SequenceGenerator() = default;

GenerateResult SequenceGenerator::Generate(const GenerateRequest& request, const GenerateHooks& hooks) {
  const Transformer& model = state_->model;
  ForwardContext& ctx = state_->ctx;
  KvSequence& sequence = state_->sequence;
  std::vector<int32_t>& ids = state_->ids;  // prompt and generated
  STABLELM_CHECK(!request.prompt.empty() && request.max_new_tokens.value_or(1) >= 1);
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t room = model.config().max_positions - prompt;
  const int64_t wanted = std::min(room, request.max_new_tokens.value_or(room));
  if (request.max_time_s && !(*request.max_time_s > 0)) {
    throw Error({.where = "max_time",
                 .what = "out of range",
                 .found = std::to_string(*request.max_time_s),
                 .expected = "more than 0 seconds",
                 .hint = {}});
  }
  GenerateResult result;
  result.reason =
      request.max_new_tokens && *request.max_new_tokens <= room ? FinishReason::kLength : FinishReason::kContext;
  Sampler sampler(SetupOf(request), model.config().vocab_size);
  StoppedText text(request.tokenizer, {.ids = request.stop_ids, .strings = request.stop_strings});
  if (wanted <= 0) return result;
  result.ids.reserve(static_cast<size_t>(wanted));
  result.logprobs.reserve(static_cast<size_t>(wanted));
  result.known_positions = state_->Keep(request.prompt);
  ids.reserve(static_cast<size_t>(prompt + wanted));
  CancelObserver observer(hooks.cancel);
  const auto show = [&](const std::string& piece) {
    result.text += piece;
    if (hooks.on_text && !piece.empty()) hooks.on_text(piece);
  };

  std::vector<float> logits(static_cast<size_t>(model.config().vocab_size));
  const auto take = [&](int64_t, int64_t, std::span<const float> rows) { std::ranges::copy(rows, logits.begin()); };
  const auto start = Clock::now();
  try {
    const auto rest = std::span(request.prompt).subspan(static_cast<size_t>(result.known_positions));
    ForwardInChunks(model, rest, sequence, ctx,
                    {.logits_from = static_cast<int64_t>(rest.size()) - 1,
                     .observer = hooks.cancel ? &observer : nullptr,
                     .stop = {}},
                    take);
  } catch (const Cancelled&) {
    result.reason = FinishReason::kCancelled;
  }
  result.prefill_s = SecondsSince(start);

  const auto decode_start = Clock::now();
  while (result.reason != FinishReason::kCancelled) {
    if (observer.Asked()) {
      result.reason = FinishReason::kCancelled;
      break;
    }
    const ChosenToken token = sampler.Choose(logits, ids, static_cast<int64_t>(result.ids.size()), state_->workspace);
    ids.push_back(token.id);
    result.ids.push_back(token.id);
    result.logprobs.push_back(token.logprob);
    if (request.top_logprobs > 0) result.top.emplace_back(token.top.begin(), token.top.end());
    if (!token.emptied_by.empty()) ++result.forced_tokens;
    if (hooks.on_token) hooks.on_token(token);
    show(text.Add(token.id));
    if (text.Cause().Found()) {
      result.reason = FinishReason::kStop;
      break;
    }
    if (static_cast<int64_t>(result.ids.size()) == wanted) break;
    if (request.max_time_s && SecondsSince(start) > *request.max_time_s) {
      result.reason = FinishReason::kTime;
      break;
    }
    const BatchSequence next = {.tokens = {&result.ids.back(), 1}, .cache = &sequence, .logits_from = 0};
    std::ranges::copy(model.Forward({&next, 1}, ctx), logits.begin());
  }
  show(text.Finish());
  result.stop = text.Cause();
  if (result.stop.Found()) result.reason = FinishReason::kStop;  // the last bytes may complete a stop string
  result.decode_s = SecondsSince(decode_start);
  return result;
}

GenerateResult Generate(const Transformer& model, const GenerateRequest& request, const RunShape& run, ThreadPool& pool,
                        const GenerateHooks& hooks) {
  return SequenceGenerator(model, run, pool).Generate(request, hooks);
}

}  // namespace stablelm
