// One layer of the model.
#pragma once

#include <cstdint>
#include <span>

#include "checkpoint/describe/config.h"
#include "model/forward_observer.h"
#include "model/linear.h"
#include "ops/attention.h"
#include "ops/execution_context.h"
#include "ops/layer_norm.h"

namespace stablelm {

struct BlockWeights {
  LayerNormWeights attn_norm;  // input_layernorm
  Linear qkv;                  // attention.query_key_value [3C, C]
  QkvLayout qkv_layout;        // order of its rows
  Linear attn_out;             // attention.dense [C, C]
  LayerNormWeights mlp_norm;   // post_attention_layernorm
  Linear mlp_up;               // mlp.dense_h_to_4h [F, C]
  Linear mlp_down;             // mlp.dense_4h_to_h [C, F]
};

// The activation buffers of one layer. A step overwrites none of its inputs, unless the caller gives the same buffer
// twice, as generation does because it keeps no activations.
struct BlockActivations {
  const float* x = nullptr;  // [T, C]   input of the layer
  float* y = nullptr;        // [T, C]   its output; may be x
  // [T, C]: x + attn(ln1(x)) of the sequential form; may be y. Not used by the parallel form.
  float* middle = nullptr;
  float* qkv = nullptr;          // [T, 3C]  in the layout of the weights; queries are rotated in place
  float* attended = nullptr;     // [T, C]   heads side by side
  float* log_sum_exp = nullptr;  // [T, H]   of the attention scores, or null: not wanted (ops/attention.h)
  float* attn_out = nullptr;     // [T, C]
  float* mlp_hidden = nullptr;   // [T, F]   before the activation
  float* mlp_out = nullptr;      // [T, C]
  // Buffers for prologues that a product does not fuse (ops/prologue.h).
  float* normed = nullptr;     // [T, C]
  float* activated = nullptr;  // [T, F]; may be mlp_hidden
};

struct BlockInput {
  const ModelConfig& config;
  int64_t layer = 0;
  int64_t rows = 0;                              // T, of all sequences together
  std::span<const AttentionSequence> sequences;  // their rows, and their pages in the cache
  KvLayerPages cache;                            // of this layer
  const RotaryTable& rotary;
  BlockActivations activations;
  ForwardObserver* observer = nullptr;      // may be null
  const AdapterDropout* dropout = nullptr;  // of adapters in training; null: none
};

// activations.y = x + attn(ln1(x)) + mlp(ln2(x)), or the sequential form. Throws Error when a key or value overflows
// the cache's type.
void RunBlock(const BlockWeights& w, const BlockInput& in, ExecutionContext& exec);

}  // namespace stablelm
