// The weight files of a model: which ones of a folder count, what is in them, and how they match the weight table.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/describe/stored_tensor.h"
#include "checkpoint/describe/weight_table.h"
#include "checkpoint/gguf/gguf.h"

namespace stablelm {

enum class WeightFormat : uint8_t { kSafetensors, kTorchZip, kTorchLegacy, kGguf };
const char* NameOf(WeightFormat format);  // "safetensors", "PyTorch zip", "PyTorch legacy", "GGUF"

struct WeightFile {
  std::string name;  // without the folder
  std::shared_ptr<const MappedFile> map;
  WeightFormat format;
  std::vector<StoredTensor> tensors;
};

// Opens the weight files of a folder. When several kinds are there, the first of these counts: the safetensors index,
// model.safetensors, the .bin index, pytorch_model.bin; all other files are never opened. With an index, each file
// holds exactly the tensors that the index says (ignored buffers may be missing from the index). Throws Error.
std::vector<WeightFile> OpenWeightFiles(const std::filesystem::path& folder, std::vector<std::string>* warnings);

// A GGUF file's tensors, under the names that it gives them; sharing its map. Throws Error.
std::vector<WeightFile> OpenWeightFiles(const GgufFile& file);
// Whether a folder has weights of Hugging Face's, whole or not.
bool HasWeightFiles(const std::filesystem::path& folder);

struct TensorPlace {
  size_t file = 0;    // index in the files
  size_t tensor = 0;  // index in that file's tensors
};

// The place of every entry of the table, in its order. Checks names (those of the files' format; the output matrix of a
// folder may be called lm_head.weight), shapes and types (quantized matrices in GGUF only); missing, surplus and
// repeated tensors are refused by name. `folder` names the model in errors. A tied model's file may still hold its
// output matrix if it equals the embedding.
std::vector<TensorPlace> MatchWeights(const std::vector<WeightEntry>& table, const ModelConfig& config,
                                      const std::vector<WeightFile>& files, const std::string& folder);

}  // namespace stablelm
