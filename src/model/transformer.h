// StableLM-Alpha (GPT-NeoX): embedding, layers, final norm, output matrix.
//
// Models may share weights (model/model_weights.h). Follows transformers' GPTNeoXForCausalLM with fp32 activations and
// accumulation. Immutable: one model serves many contexts, each used by one thread at a time.
//
// Reproducible: for one SIMD target, weight type, cache type and Compute, the logits of a token depend bit for bit only
// on the tokens of its sequence up to it, not on batch, chunks, threads or pages.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "model/batch.h"
#include "model/forward_context.h"
#include "model/model_weights.h"
#include "model/pass_hooks.h"

namespace stablelm {

class Transformer {
 public:
  explicit Transformer(std::shared_ptr<const ModelWeights> weights);

  const ModelConfig& config() const { return weights_->config; }
  const RotaryTable& rotary() const { return weights_->rotary; }
  const ModelWeights& weights() const { return *weights_; }

  // Computes all sequences of the batch together: at most ctx.max_rows tokens and ctx.max_logit_rows rows of logits.
  // Returns the requested logits [W, V], sequence by sequence; they stay valid until the context's next pass. Appends
  // the tokens to the caches. Throws Error for a token id out of range, more tokens than the model's context, no free
  // pages, fp16 cache overflow, and non-finite values (a second pass finds the layer and the tensor). Throws Cancelled
  // when hooks.leave returns true. After either exception every cache is unchanged.
  std::span<const float> Forward(std::span<const BatchSequence> batch, ForwardContext& ctx,
                                 const PassHooks& hooks = {}) const;

 private:
  struct Rows {  // of a batch
    int64_t all = 0;
    int64_t logits = 0;  // that need logits
  };
  // Lays the batch out in rows: sets the sequences and logit_rows of the context.
  Rows Place(std::span<const BatchSequence> batch, ForwardContext& ctx) const;
  void Run(std::span<const BatchSequence> batch, Rows rows, ForwardContext& ctx, const PassHooks& hooks) const;
  [[noreturn]] void ExplainNonFinite(std::span<const BatchSequence> batch, Rows rows, ForwardContext& ctx) const;

  std::shared_ptr<const ModelWeights> weights_;
};

}  // namespace stablelm
