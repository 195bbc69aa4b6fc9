// StableLM-Alpha (GPT-NeoX): embedding, layers, final norm, output matrix.
//
// Runs over weights that it may share with others (model/model_weights.h). Follows transformers' GPTNeoXForCausalLM
// with fp32 activations and accumulation. Immutable: one model serves many contexts, each used by one thread at a time.
//
// Reproducible: for one SIMD target and one setting of weight and cache types and of Compute, a token's logits depend
// on the tokens before it in its sequence alone, bit for bit: not on batch, chunks, threads or pages.
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

  // Computes all sequences of the batch together: at most ctx.max_rows tokens and ctx.max_logit_rows logits. Returns
  // the wanted logits [W, V], sequence by sequence; they stay valid until the context's next pass. Caches grow by the
  // new tokens. Throws Error and leaves every cache as it was: a token id out of range, more positions than the model
  // has, no free pages, fp16 cache overflow, values that are not finite (found by a second pass, which names the layer
  // and the tensor). Throws Cancelled, with every cache as it was, when hooks.leave says so.
  std::span<const float> Forward(std::span<const BatchSequence> batch, ForwardContext& ctx,
                                 const PassHooks& hooks = {}) const;

 private:
  struct Placed;  // the batch laid out in rows
  Placed Place(std::span<const BatchSequence> batch, const ForwardContext& ctx) const;
  void Run(std::span<const BatchSequence> batch, const Placed& placed, ForwardContext& ctx,
           const PassHooks& hooks) const;
  void ShowFinalNorm(int64_t rows, ForwardContext& ctx, ForwardObserver& observer) const;
  [[noreturn]] void ExplainNonFinite(std::span<const BatchSequence> batch, const Placed& placed,
                                     ForwardContext& ctx) const;

  std::shared_ptr<const ModelWeights> weights_;
};

}  // namespace stablelm
