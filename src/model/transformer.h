// StableLM-Alpha (GPT-NeoX): embedding, layers, final norm, output matrix.
//
// Follows transformers' GPTNeoXForCausalLM with fp32 activations and accumulation. Immutable after construction: one
// model serves many contexts, each used by one thread at a time.
//
// Reproducible: for one SIMD target and one setting of weight and cache types and of Compute, a token's logits depend
// on the tokens before it in its sequence alone, bit for bit: not on batch, chunks, threads or pages.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "checkpoint/loaded_weights.h"
#include "model/batch.h"
#include "model/block.h"
#include "model/forward_context.h"
#include "model/forward_observer.h"

namespace stablelm {

class Transformer {
 public:
  // Reads the folder's weights and packs the matrices, file pages released behind the reader. activation: instead of
  // the one that config.json names (original training used the tanh form). Throws Error as LoadedWeights::Load.
  static Transformer Load(std::shared_ptr<const ModelFolder> folder, const LoadOptions& options,
                          std::optional<Activation> activation = std::nullopt);

  const ModelConfig& config() const { return config_; }
  const RotaryTable& rotary() const { return rotary_; }
  // Bytes of the packed matrices by type: what every forward pass reads, whatever its number of rows.
  std::map<DType, uint64_t> MatrixBytes() const;
  // What a token reads of the embedding.
  uint64_t EmbeddingRowBytes() const { return BytesOf(embedding_.dtype, config_.hidden_size); }

  // Computes all sequences of the batch together: at most ctx.max_rows tokens and ctx.max_logit_rows logits. Returns
  // the wanted logits [W, V], sequence by sequence; they stay valid until the context's next pass. Caches grow by the
  // new tokens. Throws Error and leaves every cache as it was: a token id out of range, more positions than the model
  // has, no free pages, fp16 cache overflow, values that are not finite (found by a second pass, which names the layer
  // and the tensor).
  std::span<const float> Forward(std::span<const BatchSequence> batch, ForwardContext& ctx,
                                 ForwardObserver* observer = nullptr) const;

 private:
  Transformer(LoadedWeights weights, const LoadOptions& options, std::optional<Activation> activation);
  struct Placed;  // the batch laid out in rows
  Placed Place(std::span<const BatchSequence> batch, const ForwardContext& ctx) const;
  void Run(std::span<const BatchSequence> batch, const Placed& placed, ForwardContext& ctx,
           ForwardObserver* observer) const;
  [[noreturn]] void ExplainNonFinite(std::span<const BatchSequence> batch, const Placed& placed,
                                     ForwardContext& ctx) const;
  std::optional<size_t> FirstNonFiniteWeight(const WeightEntry& entry) const;

  LoadedWeights weights_;  // embedding and vectors; the matrices of linear layers were packed
  ModelConfig config_;
  RotaryTable rotary_;
  TensorView embedding_;  // [V, C]
  std::vector<BlockWeights> blocks_;
  LayerNormWeights final_norm_;
  Linear output_;  // [V, C]
};

}  // namespace stablelm
