// The one table of a model's tensors: names, shapes and roles. Reader, writer, loader, memory plan, inspect and (later)
// trainer walk this table; a tensor that is not in it is surplus, one that is in it must be there with this shape.
//
// Order is the registration order of transformers' GPTNeoXForCausalLM, the order of the released files: embedding,
// layers, final norm, output matrix. The rows of QKV lie in the order that the file has: QkvOrder.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.h"
#include "checkpoint/describe/config.h"

namespace stablelm {

// How the 3C rows of attention.query_key_value lie in the files of a model.
enum class QkvOrder : uint8_t {
  kPerHead,  // [H, 3, D]: q, k, v of head 0, then of head 1, ...: Hugging Face
  kStacked,  // [3, H, D]: all q, all k, all v: GGUF
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
  int32_t layer;     // 0..L-1, or -1 outside the layers
  std::string name;  // as in the released files
  Shape shape;
  bool IsMatrix() const { return shape.rank() == 2; }
};

std::vector<WeightEntry> WeightTable(const ModelConfig& config);

// Names of old files that are never loaded and never counted: causal masks, masked_bias, rotary inv_freq.
bool IsIgnoredBuffer(std::string_view name);

}  // namespace stablelm
