#include "generate/generator.h"

#include <algorithm>

#include "base/error.h"
#include "base/stopwatch.h"
#include "generate/token_ids.h"
#include "model/context_shift.h"
#include "model/inference_session.h"

namespace stablelm {

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
  InferenceSession session;
  KvSequence sequence;
  const int64_t context;         // tokens, prompt and reply together
  std::optional<Reply> reply;    // the last one; its first sequence.length() ids are in the cache,
  std::optional<int64_t> exact;  // or only its first `exact` ids, after a context shift
  SamplerWorkspace workspace;

  State(const Transformer& of, const RunShape& run, ThreadPool& pool)
      : session(of, run, pool),
        sequence(session.cache()),
        context(std::min(run.context, of.config().max_positions)),
        workspace(of.config().vocab_size) {}

  // Truncates the cache to the prefix in common with the next prompt, without the prompt's last token, which is
  // computed for its logits.
  void ContinueWith(Reply next) {
    if (reply) {
      const auto& old = reply->ids();
      const int64_t most = std::min({next.prompt() - 1, sequence.length(), exact.value_or(sequence.length())});
      const auto differ = std::mismatch(old.begin(), old.begin() + most, next.ids().begin());
      sequence.Truncate(differ.first - old.begin());
    }
    exact.reset();
    reply.emplace(std::move(next));
    reply->result.known_positions = sequence.length();
  }

  // Context shift of the full cache: drops the oldest half of the tokens after the first `keep`. Returns whether there
  // was anything to drop.
  bool Shift(int64_t keep) {
    const int64_t dropped = (sequence.length() - keep) / 2;
    if (dropped < 1) return false;
    exact = std::min(keep, exact.value_or(keep));
    ShiftContext(sequence, keep, dropped, session.model().rotary(), session.exec().pool());
    ++reply->result.shifts;
    reply->result.shifted_tokens += dropped;
    reply->result.shift_kept = keep;
    return true;
  }
};

SequenceGenerator::SequenceGenerator(const Transformer& model, const RunShape& run, ThreadPool& pool)
    : state_(std::make_unique<State>(model, run, pool)) {}
SequenceGenerator::SequenceGenerator(SequenceGenerator&&) noexcept = default;
SequenceGenerator& SequenceGenerator::operator=(SequenceGenerator&&) noexcept = default;
SequenceGenerator::~SequenceGenerator() = default;

GenerateResult SequenceGenerator::Generate(const GenerateRequest& request, const ReplyCallbacks& callbacks,
                                           const std::atomic<bool>* cancel) {
  InferenceSession& session = state_->session;
  KvSequence& sequence = state_->sequence;
  STABLELM_CHECK(!request.prompt.empty());
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  STABLELM_CHECK(!request.keep_on_shift || *request.keep_on_shift >= 0);
  Reply next(request, state_->context - prompt, session.config().vocab_size);
  if (next.limit().tokens <= 0) {
    next.End(next.limit().reason, callbacks);
    return std::move(next.result);
  }
  state_->ContinueWith(std::move(next));
  Reply& reply = *state_->reply;
  const std::function<bool()> leave = LeaveWhenSet(cancel);
  const auto take = [&](std::span<const float> logits) {
    if (leave && leave()) return reply.End(FinishReason::kCancelled, callbacks);
    reply.Take(logits, state_->workspace, callbacks);
  };

  const auto start = Clock::now();
  auto decode_start = start;
  try {
    const auto rest = std::span(request.prompt).subspan(static_cast<size_t>(sequence.length()));
    session.ForwardInChunks(rest, sequence,
                            {.logits_from = static_cast<int64_t>(rest.size()) - 1, .hooks = {.leave = leave}},
                            [&](int64_t, int64_t, std::span<const float> logits) {
                              decode_start = Clock::now();
                              take(logits);
                            });
  } catch (const Cancelled&) {
    decode_start = Clock::now();
    reply.End(FinishReason::kCancelled, callbacks);
  }
  while (!reply.ended()) {
    if (request.max_time_s && SecondsSince(start) > *request.max_time_s) {
      reply.End(FinishReason::kTime, callbacks);
      break;
    }
    if (request.keep_on_shift && sequence.length() == state_->context && !state_->Shift(*request.keep_on_shift)) {
      reply.End(FinishReason::kContext, callbacks);
      break;
    }
    const BatchSequence last = {.tokens = std::span(reply.ids()).last(1), .cache = &sequence, .logits_from = 0};
    take(session.Forward({&last, 1}));
  }
  reply.result.prefill_s = SecondsBetween(start, decode_start);
  reply.result.decode_s = SecondsSince(decode_start);
  return std::move(reply.result);
}

GenerateResult Generate(const Transformer& model, const GenerateRequest& request, const RunShape& run, ThreadPool& pool,
                        const ReplyCallbacks& callbacks, const std::atomic<bool>* cancel) {
  return SequenceGenerator(model, run, pool).Generate(request, callbacks, cancel);
}

}  // namespace stablelm
