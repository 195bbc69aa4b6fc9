// One layer of the model.
#pragma once

#include <cstdint>
#include <span>

#include "checkpoint/describe/config.h"
#include "model/forward_context.h"
#include "model/forward_observer.h"
#include "model/kv_cache.h"
#include "model/linear.h"
#include "ops/attention.h"
#include "ops/layer_norm.h"

namespace stablelm {

struct BlockWeights {
  LayerNormWeights attn_norm;  // input_layernorm
  Linear qkv;                  // attention.query_key_value [3C, C]
  QkvLayout qkv_layout;        // of its rows
  Linear attn_out;             // attention.dense [C, C]
  LayerNormWeights mlp_norm;   // post_attention_layernorm
  Linear mlp_up;               // mlp.dense_h_to_4h [F, C]
  Linear mlp_down;             // mlp.dense_4h_to_h [C, F]
};

// Where the sequences of the batch lie, and their cache in this layer.
struct BlockInput {
  const ModelConfig& config;
  int64_t layer = 0;
  int64_t rows = 0;  // T, of all sequences together
  std::span<const AttentionSequence> sequences;
  KvCache& cache;
  const RotaryTable& rotary;
  ForwardObserver* observer = nullptr;  // may be null
};

// ctx.x [T, C] in place: x + attn(ln1(x)) + mlp(ln2(x)), or the sequential form. Throws Error when a key or value does
// not fit the cache's type.
void RunBlock(const BlockWeights& w, const BlockInput& in, ForwardContext& ctx);

}  // namespace stablelm
