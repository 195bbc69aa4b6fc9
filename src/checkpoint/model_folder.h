// A model as it lies on disk: an opened and checked Hugging Face folder or GGUF file, mapped, nothing loaded yet.
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

// Immutable; safe to share between threads. The files stay mapped as long as the object lives.
class ModelFolder {
 public:
  // What ModelSource::Open takes. Reads the configuration and the headers of all weight files and checks that they hold
  // exactly the tensors of the weight table. Throws Error.
  static std::shared_ptr<const ModelFolder> Open(const std::string& path_or_hub_id);

  static std::shared_ptr<const ModelFolder> Open(std::shared_ptr<const ModelSource> source);

  const ModelSource& source() const { return *source_; }
  const std::filesystem::path& path() const { return source_->path(); }  // the folder, or the GGUF file
  const ModelConfig& config() const { return config_; }
  const std::vector<WeightFile>& files() const { return files_; }
  const std::vector<WeightEntry>& table() const { return table_; }
  // Where the table's entry i is.
  const std::vector<TensorPlace>& places() const { return places_; }
  const WeightFile& FileOf(size_t entry) const { return files_[places_[entry].file]; }
  const StoredTensor& TensorOf(size_t entry) const { return FileOf(entry).tensors[places_[entry].tensor]; }
  QkvOrder qkv_order() const { return source_->gguf() ? QkvOrder::kStacked : QkvOrder::kPerHead; }
  // What is worth a user's eye and no reason to refuse.
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
