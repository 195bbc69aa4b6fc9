// The weight files of a model: selects and opens them, and matches their tensors with the weight table.
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
  std::string name;  // file name without the folder
  std::shared_ptr<const MappedFile> map;
  WeightFormat format;
  std::vector<StoredTensor> tensors;
};

// Opens the weight files of a folder. Uses the first that exists of: the safetensors index, model.safetensors, the .bin
// index, pytorch_model.bin; never opens other files. With an index, each file must hold exactly the tensors that the
// index lists for it (ignored buffers may be missing from the index). Throws Error.
std::vector<WeightFile> OpenWeightFiles(const std::filesystem::path& folder, std::vector<std::string>* warnings);

// The tensors of a GGUF file, with their GGUF names. Shares the file's map. Throws Error.
std::vector<WeightFile> OpenWeightFiles(const GgufFile& file);
// Whether a folder has Hugging Face weights, complete or not.
bool HasWeightFiles(const std::filesystem::path& folder);

struct TensorPlace {
  size_t file = 0;    // index in the files
  size_t tensor = 0;  // index in that file's tensors
};

// Finds every entry of the table, in the table's order. Checks names (of the files' format; a folder may call the
// output matrix lm_head.weight), shapes and types (quantized matrices only in GGUF). Throws an Error that names a
// missing, surplus or duplicate tensor. `folder` names the model in errors. The file of a tied model may contain the
// output matrix if it equals the embedding.
std::vector<TensorPlace> MatchWeights(const std::vector<WeightEntry>& table, const ModelConfig& config,
                                      const std::vector<WeightFile>& files, const std::string& folder);

}  // namespace stablelm
