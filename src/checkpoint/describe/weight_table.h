// The weight table: names, shapes and kinds of all tensors of a model. Reader, writer, loader, memory plan, inspect and
// (later) trainer use this table. A model must have every tensor in it, with this shape, and no others.
//
// The order is the registration order of transformers' GPTNeoXForCausalLM, which the released files use: embedding,
// layers, final norm, output matrix. The row order of QKV depends on the file format: QkvOrder.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.h"
#include "checkpoint/describe/config.h"

namespace stablelm {

// Order of the 3C rows of attention.query_key_value in a model's files.
enum class QkvOrder : uint8_t {
  kPerHead,  // [H, 3, D]: q, k, v of head 0, then of head 1, ... (Hugging Face)
  kStacked,  // [3, H, D]: all q, all k, all v (GGUF)
};

enum class WeightKind : uint8_t {
  kEmbedding,        // gpt_neox.embed_in.weight                    [V, C]
  kAttnNormWeight,   // ...input_layernorm.weight                   [C]
  kAttnNormBias,     // ...input_layernorm.bias                     [C]
  kMlpNormWeight,    // ...post_attention_layernorm.weight          [C]
  kMlpNormBias,      // ...post_attention_layernorm.bias            [C]
  kQkvWeight,        // ...attention.query_key_value.weight         [3C, C]
  kQkvBias,          // ...attention.query_key_value.bias           [3C]
  kAttnOutWeight,    // ...attention.dense.weight                   [C, C]
  kAttnOutBias,      // ...attention.dense.bias                     [C]
  kMlpUpWeight,      // ...mlp.dense_h_to_4h.weight                 [F, C]
  kMlpUpBias,        // ...mlp.dense_h_to_4h.bias                   [F]
  kMlpDownWeight,    // ...mlp.dense_4h_to_h.weight                 [C, F]
  kMlpDownBias,      // ...mlp.dense_4h_to_h.bias                   [C]
  kFinalNormWeight,  // gpt_neox.final_layer_norm.weight            [C]
  kFinalNormBias,    // gpt_neox.final_layer_norm.bias              [C]
  kOutput,           // embed_out.weight, no bias                   [V, C]; absent when tied
};

struct WeightEntry {
  WeightKind kind;
  int32_t layer;     // 0 to L-1; -1 outside the layers
  std::string name;  // as in the released files
  Shape shape;
  bool IsMatrix() const { return shape.rank() == 2; }
};

std::vector<WeightEntry> WeightTable(const ModelConfig& config);

// Buffers of old files that are never loaded or counted: causal masks, masked_bias, rotary inv_freq.
bool IsIgnoredBuffer(std::string_view name);

}  // namespace stablelm
