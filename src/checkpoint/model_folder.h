// A model on disk: a Hugging Face folder or GGUF file, opened, checked and mapped, but not loaded.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "checkpoint/model_source.h"
#include "checkpoint/weight_files.h"

namespace stablelm {

// Immutable; thread-safe. The files stay mapped during the object's lifetime.
class ModelFolder {
 public:
  // Argument as in ModelSource::Open. Reads the configuration and the headers of all weight files, and checks that they
  // hold exactly the tensors of the weight table. Throws Error.
  static std::shared_ptr<const ModelFolder> Open(const std::string& path_or_hub_id);

  static std::shared_ptr<const ModelFolder> Open(std::shared_ptr<const ModelSource> source);

  const ModelSource& source() const { return *source_; }
  const std::filesystem::path& path() const { return source_->path(); }  // ModelSource::path
  const ModelConfig& config() const { return config_; }
  const std::vector<WeightFile>& files() const { return files_; }
  const std::vector<WeightEntry>& table() const { return table_; }
  // places()[i]: location of entry i of the table.
  const std::vector<TensorPlace>& places() const { return places_; }
  const WeightFile& FileOf(size_t entry) const { return files_[places_[entry].file]; }
  const StoredTensor& TensorOf(size_t entry) const { return FileOf(entry).tensors[places_[entry].tensor]; }
  QkvOrder qkv_order() const { return source_->gguf() ? QkvOrder::kStacked : QkvOrder::kPerHead; }
  // Problems that the user should know but that do not prevent loading.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  ModelFolder() = default;
  std::shared_ptr<const ModelSource> source_;
  ModelConfig config_;
  std::vector<WeightFile> files_;
  std::vector<WeightEntry> table_;
  std::vector<TensorPlace> places_;
  std::vector<std::string> warnings_;
};

}  // namespace stablelm
