// What running a model takes besides its weights: the buffers of a forward pass and the key-value cache, both planned
// from one RunShape. Generation, beam search, scoring, evaluation and measurement all begin with one.
#pragma once

#include <span>

#include "model/chunked_forward.h"
#include "model/forward_context.h"
#include "model/kv_cache.h"
#include "model/transformer.h"

namespace stablelm {

// One thread at a time; model and pool outlive it.
class InferenceSession {
 public:
  // Throws Error when the memory is not there.
  InferenceSession(const Transformer& model, const RunShape& run, ThreadPool& pool)
      : model_(model), ctx_(model.config(), run, pool), cache_(model.config(), run.kv_type, CachePages(run)) {}

  const Transformer& model() const { return model_; }
  const ModelConfig& config() const { return model_.config(); }
  KvCache& cache() { return cache_; }
  const KvCache& cache() const { return cache_; }
  const ForwardContext& context() const { return ctx_; }
  ExecutionContext& exec() { return ctx_.exec; }

  // Transformer::Forward and ForwardInChunks with the session's buffers. Sequences are of the session's cache.
  std::span<const float> Forward(std::span<const BatchSequence> batch, const PassHooks& hooks = {}) {
    return model_.Forward(batch, ctx_, hooks);
  }
  void ForwardInChunks(std::span<const int32_t> tokens, KvSequence& sequence, const ChunkedForwardOptions& options,
                       const LogitsSink& sink) {
    stablelm::ForwardInChunks(model_, tokens, sequence, ctx_, options, sink);
  }

 private:
  const Transformer& model_;
  ForwardContext ctx_;
  KvCache cache_;
};

}  // namespace stablelm
