// A LoRA adapter on disk, in PEFT's layout: adapter_config.json and adapter_model.safetensors (or .bin), opened and
// checked against a model, but not loaded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/adapter/adapter_config.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "checkpoint/weight_files.h"

namespace stablelm {

// The two matrices of one module; kF16, kBF16, kF32 or kF64.
struct AdaptedMatrix {
  WeightEntry entry;      // the matrix that they change
  const StoredTensor* a;  // [r, K]
  const StoredTensor* b;  // [N, r]; QKV rows are per head (QkvOrder::kPerHead)
};

// Immutable; thread-safe. The file stays mapped during the object's lifetime.
class AdapterFolder {
 public:
  // `path`: the folder, its adapter_config.json or file of weights, or a hub id in the Hugging Face cache. Throws
  // Error.
  static std::shared_ptr<const AdapterFolder> Open(const std::filesystem::path& path);
  // The same from bytes: safetensors with `config` as adapter_config.json. For tests of the readers.
  static std::shared_ptr<const AdapterFolder> FromFile(WeightFile file, AdapterConfig config,
                                                       const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }  // of the folder
  const AdapterConfig& config() const { return config_; }
  const WeightFile& file() const { return file_; }
  std::string ConfigName() const { return (path_ / "adapter_config.json").string(); }

  // The matrices that it changes in a model of this shape, in the order of the weight table: those that target_modules
  // names, whose tensors must all be there with the right shapes, and no others. Throws Error; names of target_modules
  // that the model does not have are only a warning, because PEFT ignores them, too.
  std::vector<AdaptedMatrix> Match(const ModelConfig& model, std::vector<std::string>* warnings = nullptr) const;

  // SHA-256 of the file of weights, for records of runs.
  std::string Sha256() const;
  uint64_t NumParameters() const;

 private:
  AdapterFolder() = default;
  std::filesystem::path path_;
  AdapterConfig config_;
  WeightFile file_;
};

// An adapter to run or to merge.
struct AdapterChoice {
  std::shared_ptr<const AdapterFolder> folder;
  double scale = 1;  // times AdapterConfig::Scale()
};

// PEFT's names of the two tensors of a matrix of the model: "base_model.model.gpt_neox.layers.0.attention.dense" +
// ".lora_A.weight".
struct AdapterTensorNames {
  std::string a, b;
};
AdapterTensorNames AdapterNamesOf(const WeightEntry& entry);
// The name of a matrix as a module: without ".weight".
std::string ModuleOf(const WeightEntry& entry);
// The last part of a module's name, as target_modules lists it: "query_key_value".
std::string TargetOf(const WeightEntry& entry);
// The four matrices of a layer that an adapter may change.
bool IsAdaptable(WeightKind kind);

}  // namespace stablelm
