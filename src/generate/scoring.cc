#include "generate/scoring.h"

#include <algorithm>

#include "base/error.h"
#include "generate/prompt_logprobs.h"

namespace stablelm {
namespace {

// Forwards hidden states together with the index of their first row in the sequence.
class HiddenStates : public ForwardObserver {
 public:
  HiddenStates(const ScoreSinks& sinks, const KvSequence& sequence) : sinks_(sinks), sequence_(sequence) {}
  void OnHidden(int64_t index, const float* x, int64_t rows, int64_t width) override {
    // The cache already includes the rows of this pass.
    sinks_.hidden(index, sequence_.length() - rows, {x, static_cast<size_t>(rows * width)});
  }

 private:
  const ScoreSinks& sinks_;
  const KvSequence& sequence_;
};

}  // namespace

RunShape ShapeOfScore(int64_t longest, DType kv, size_t threads) {
  RunShape run;
  run.context = longest;
  run.kv_type = kv;
  run.max_rows = std::min(run.max_rows, longest);
  run.max_logit_rows = run.max_rows;
  run.threads = threads;
  return run;
}

Scorer::Scorer(const Transformer& model, const RunShape& run, ThreadPool& pool) : session_(model, run, pool) {}

std::vector<double> Scorer::Score(std::span<const int32_t> ids, const ScoreSinks& sinks,
                                  const std::atomic<bool>* cancel) {
  STABLELM_CHECK(!ids.empty());
  // The last token predicts none of the given ids.
  const std::span<const int32_t> tokens = sinks.logits || sinks.hidden ? ids : ids.first(ids.size() - 1);
  const int64_t n = static_cast<int64_t>(tokens.size());
  PromptLogprobs result;
  result.logprobs.reserve(ids.size() - 1);
  KvSequence sequence(session_.cache());
  HiddenStates hidden(sinks, sequence);
  session_.ForwardInChunks(tokens, sequence,
                           {.logits_from = ids.size() > 1 || sinks.logits ? 0 : n,
                            .hooks = {.observer = sinks.hidden ? &hidden : nullptr, .leave = LeaveWhenSet(cancel)}},
                           [&](int64_t first, int64_t rows, std::span<const float> logits) {
                             AddPromptLogprobs(ids, first, logits, session_.config().vocab_size, {}, result);
                             if (sinks.logits) sinks.logits(first, rows, logits);
                           });
  return std::move(result.logprobs);
}

}  // namespace stablelm
