// Metadata keys and tensor names of GGUF files of arch gptneox: the model's configuration and the names of its tensors.
//
// Follows llama.cpp's converter for GPTNeoXForCausalLM. The standard keys hold the configuration that llama.cpp needs.
// Settings without a standard key (the activation, several end ids, ...) come from the model's config.json, which files
// written here store whole in the key "stablelm.config". Both must agree. An fp32 key value becomes the shortest
// decimal number that rounds to it.
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

// Whether a name is that of a GGUF file: it ends in ".gguf", in any case of the letters.
bool IsGgufPath(const std::filesystem::path& path);

// A small file of a model folder, and the key that stores its text in a GGUF file.
struct CarriedFile {
  std::string_view name;  // "tokenizer.json"
  std::string_view key;   // "tokenizer.huggingface.json"
  bool needed = false;    // an error if it is there and cannot be read; the others are left aside then
};
std::span<const CarriedFile> CarriedFiles();
inline constexpr size_t kMaxCarriedBytes = size_t{256} << 20;  // size limit of each file

// GGUF's name of a tensor in the weight table, "blk.3.attn_qkv.weight". QKV rows in GGUF are QkvOrder::kStacked.
std::string GgufTensorName(const WeightEntry& entry);

// `parts`: OpenGgufParts; the first has the keys. Throws an Error that names key and byte offset: another architecture,
// missing keys, invalid sizes, rotary scaling, keys that disagree with the stored config.json.
ModelConfig ReadGgufConfig(std::span<const GgufFile> parts, std::vector<std::string>* warnings = nullptr);
// Sets the keys that llama.cpp needs, except those of the tokenizer.
void SetConfigKeys(const ModelConfig& config, GgufMetadata& metadata);

}  // namespace stablelm
