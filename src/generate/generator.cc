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

bool Contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

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

GenerateResult Generate(const Transformer& model, const GenerateRequest& request, const RunShape& run, ThreadPool& pool,
                        const GenerateHooks& hooks) {
  STABLELM_CHECK(!request.prompt.empty() && request.max_new_tokens.value_or(1) >= 1);
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t room = model.config().max_positions - prompt;
  const int64_t wanted = std::min(room, request.max_new_tokens.value_or(room));
  GenerateResult result;
  result.reason =
      request.max_new_tokens && *request.max_new_tokens <= room ? FinishReason::kLength : FinishReason::kContext;
  if (wanted <= 0) return result;
  result.ids.reserve(static_cast<size_t>(wanted));
  result.logprobs.reserve(static_cast<size_t>(wanted));

  ForwardContext ctx(model.config(), run, pool);
  KvCache cache(model.config(), run.kv_type, KvCache::PagesFor(run.context));
  KvSequence sequence(cache);
  Sampler sampler(request.sampling, request.seed, request.sample);
  CancelObserver observer(hooks.cancel);

  std::vector<float> logits(static_cast<size_t>(model.config().vocab_size));
  const auto take = [&](int64_t, int64_t, std::span<const float> rows) { std::ranges::copy(rows, logits.begin()); };
  const auto start = Clock::now();
  try {
    ForwardInChunks(model, request.prompt, sequence, ctx,
                    {.logits_from = prompt - 1, .observer = hooks.cancel ? &observer : nullptr, .stop = {}}, take);
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
    const ChosenToken token = sampler.Choose(logits, result.ids.size(), request.banned_ids);
    result.ids.push_back(token.id);
    result.logprobs.push_back(token.logprob);
    if (hooks.on_token) hooks.on_token(token);
    if (Contains(request.stop_ids, token.id)) {
      result.reason = FinishReason::kStop;
      break;
    }
    if (static_cast<int64_t>(result.ids.size()) == wanted) break;
    const BatchSequence next = {.tokens = {&result.ids.back(), 1}, .cache = &sequence, .logits_from = 0};
    std::ranges::copy(model.Forward({&next, 1}, ctx), logits.begin());
  }
  result.decode_s = SecondsSince(decode_start);
  return result;
}

}  // namespace stablelm
