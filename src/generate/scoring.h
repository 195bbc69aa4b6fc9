// Scores given tokens: their log-probabilities.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "model/inference_session.h"

namespace stablelm {

// Called with rows in order, each once; the spans are valid during the call.
struct ScoreSinks {
  // Logits [rows, V] of the tokens first .. first + rows - 1.
  std::function<void(int64_t first, int64_t rows, std::span<const float> logits)> logits;
  // transformers' hidden states [rows, C], see ForwardObserver::OnHidden for `index`.
  std::function<void(int64_t index, int64_t first, std::span<const float> rows)> hidden;
};

// The run shape of scoring sequences of at most `longest` tokens. Only the logits of one chunk are in memory at a time,
// never those of a whole sequence.
RunShape ShapeOfScore(int64_t longest, DType kv, size_t threads);

// Buffers and cache for one sequence at a time. One thread; model and pool must outlive it.
class Scorer {
 public:
  Scorer(const Transformer& model, const RunShape& run, ThreadPool& pool);

  // result[t] = ln p(ids[t + 1] | ids[0 .. t]) over all V, so one entry fewer than ids. `ids` has 1 to run.context
  // entries. Throws Error as Transformer::Forward, and Cancelled (model/pass_hooks.h) when `cancel` is set.
  std::vector<double> Score(std::span<const int32_t> ids, const ScoreSinks& sinks = {},
                            const std::atomic<bool>* cancel = nullptr);

 private:
  InferenceSession session_;
};

}  // namespace stablelm
