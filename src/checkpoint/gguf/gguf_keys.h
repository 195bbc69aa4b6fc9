// What a GGUF file of arch gptneox says in its keys and names: the shape of the model, and which tensor is which.
//
// Follows llama.cpp's converter for GPTNeoXForCausalLM. Keys that its reader needs carry the shape; what they cannot
// say (the activation, several end ids, ...) is in the model's own config.json, which files written here carry whole in
// "stablelm.config". Both must agree. Numbers of the keys are fp32: the decimal that they are nearest to is taken.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/gguf_writer.h"

namespace stablelm {

inline constexpr std::string_view kGgufArchitecture = "gptneox";

// What tells a file of this kind from a folder or a hub id, wherever a model is named.
inline bool IsGgufPath(const std::filesystem::path& path) { return path.extension() == ".gguf"; }

// The small files of a model folder, and the keys that carry their text in a GGUF file.
struct CarriedFile {
  std::string_view name;  // "tokenizer.json"
  std::string_view key;   // "tokenizer.huggingface.json"
};
std::span<const CarriedFile> CarriedFiles();
inline constexpr size_t kMaxCarriedBytes = size_t{256} << 20;  // of one of them

// "blk.3.attn_qkv.weight": the name of a tensor of the weight table in GGUF. Its rows of QKV are QkvOrder::kStacked.
std::string GgufTensorName(const WeightEntry& entry);

// Throws Error that names key and byte: another architecture, missing keys, sizes that make no sense, a part of a split
// model, rotary scaling, keys that disagree with the carried config.json.
ModelConfig ReadGgufConfig(const GgufHeader& header, std::vector<std::string>* warnings = nullptr);
// The keys that llama.cpp needs, tokenizer apart.
void SetConfigKeys(const ModelConfig& config, GgufMetadata& metadata);

}  // namespace stablelm
