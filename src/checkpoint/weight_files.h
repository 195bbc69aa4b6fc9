// The weight files of a model: selects and opens them, and matches their tensors with the weight table.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
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

// Opens one file of weights, safetensors by its extension, else PyTorch. `name`: of the file, below the folder if an
// index names it so. Throws Error.
WeightFile OpenWeightFile(const std::filesystem::path& folder, const std::string& name);

// Opens the weight files of a folder. Uses the first that exists of: model.safetensors, its index, pytorch_model.bin,
// its index, as transformers does; never opens other files. An index names the files to open; where it disagrees with
// them about a tensor, a warning says so. Throws Error.
std::vector<WeightFile> OpenWeightFiles(const std::filesystem::path& folder, std::vector<std::string>* warnings);

// The tensors of the parts of a GGUF model, with their GGUF names. Shares the maps of the files.
std::vector<WeightFile> OpenWeightFiles(std::span<const GgufFile> parts);
// Whether a folder has Hugging Face weights, complete or not.
bool HasWeightFiles(const std::filesystem::path& folder);
// What DeepSpeed left in a folder (docs of its checkpoints: files by rank, "latest" names the folder of a step); "" if
// nothing.
std::string DeepSpeedStateIn(const std::filesystem::path& folder);

struct TensorPlace {
  size_t file = 0;    // index in the files
  size_t tensor = 0;  // index in that file's tensors
};

// Finds every entry of the table, in the table's order, and checks its shape and type (quantized matrices only in
// GGUF). Names are those of the files' format; in a folder the output matrix may be called lm_head.weight, and all
// names may have another prefix than "gpt_neox." (FolderNames in the .cc). The files of a tied model may contain the
// output matrix if it equals the embedding. Throws an Error that names tensors that are missing, or twice there with
// different values. Tensors that the model does not have are an Error in GGUF and a warning in a folder: transformers
// leaves value heads and the like aside, too. `folder` names the model in errors.
std::vector<TensorPlace> MatchWeights(const std::vector<WeightEntry>& table, const ModelConfig& config,
                                      const std::vector<WeightFile>& files, const std::string& folder,
                                      std::vector<std::string>* warnings);

}  // namespace stablelm
