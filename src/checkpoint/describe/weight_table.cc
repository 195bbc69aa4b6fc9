#include "checkpoint/describe/weight_table.h"

namespace stablelm {

std::vector<WeightEntry> WeightTable(const ModelConfig& config) {
  const int64_t V = config.vocab_size, C = config.hidden_size, F = config.intermediate_size;
  std::vector<WeightEntry> table;
  table.reserve(static_cast<size_t>(config.n_layers) * 12 + 4);
  table.push_back({WeightKind::kEmbedding, -1, "gpt_neox.embed_in.weight", {V, C}});
  for (int32_t layer = 0; layer < config.n_layers; ++layer) {
    const std::string prefix = "gpt_neox.layers." + std::to_string(layer) + ".";
    const auto add = [&](WeightKind kind, const char* name, Shape shape) {
      table.push_back({kind, layer, prefix + name, shape});
    };
    add(WeightKind::kAttnNormWeight, "input_layernorm.weight", {C});
    add(WeightKind::kAttnNormBias, "input_layernorm.bias", {C});
    add(WeightKind::kMlpNormWeight, "post_attention_layernorm.weight", {C});
    add(WeightKind::kMlpNormBias, "post_attention_layernorm.bias", {C});
    add(WeightKind::kQkvWeight, "attention.query_key_value.weight", {3 * C, C});
    add(WeightKind::kQkvBias, "attention.query_key_value.bias", {3 * C});
    add(WeightKind::kAttnOutWeight, "attention.dense.weight", {C, C});
    add(WeightKind::kAttnOutBias, "attention.dense.bias", {C});
    add(WeightKind::kMlpUpWeight, "mlp.dense_h_to_4h.weight", {F, C});
    add(WeightKind::kMlpUpBias, "mlp.dense_h_to_4h.bias", {F});
    add(WeightKind::kMlpDownWeight, "mlp.dense_4h_to_h.weight", {C, F});
    add(WeightKind::kMlpDownBias, "mlp.dense_4h_to_h.bias", {C});
  }
  table.push_back({WeightKind::kFinalNormWeight, -1, "gpt_neox.final_layer_norm.weight", {C}});
  table.push_back({WeightKind::kFinalNormBias, -1, "gpt_neox.final_layer_norm.bias", {C}});
  if (!config.tie_word_embeddings) table.push_back({WeightKind::kOutput, -1, "embed_out.weight", {V, C}});
  return table;
}

bool IsIgnoredBuffer(std::string_view name) {
  if (name == "gpt_neox.rotary_emb.inv_freq") return true;
  constexpr std::string_view kPrefix = "gpt_neox.layers.";
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  const size_t digits = name.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos) return false;
  name.remove_prefix(digits);
  return name == ".attention.bias" || name == ".attention.masked_bias" || name == ".attention.rotary_emb.inv_freq";
}

}  // namespace stablelm
