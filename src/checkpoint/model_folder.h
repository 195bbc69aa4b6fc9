// A model as it lies on disk: an opened and checked Hugging Face folder, its files mapped, nothing loaded yet.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/config.h"
#include "checkpoint/weight_source.h"
#include "checkpoint/weight_table.h"

namespace stablelm {

// Immutable; safe to share between threads. The files stay mapped as long as the object lives.
class ModelFolder {
 public:
  // A folder, or a hub id "org/name[@revision]" that is looked up in the Hugging Face cache (a folder of that name
  // comes first). Reads config.json and the headers of all weight files and checks that they hold exactly the tensors
  // of the weight table. Throws Error.
  static std::shared_ptr<const ModelFolder> Open(const std::string& path_or_hub_id);
  // The folder that a path or hub id means, which exists; nothing in it is looked at. Throws Error.
  static std::filesystem::path Resolve(const std::string& path_or_hub_id);

  const std::filesystem::path& folder() const { return folder_; }
  const ModelConfig& config() const { return config_; }
  // tokenizer.json, when the folder has one.
  const std::optional<std::filesystem::path>& tokenizer_file() const { return tokenizer_file_; }
  const std::vector<WeightFile>& files() const { return files_; }
  const std::vector<WeightEntry>& table() const { return table_; }
  // Where the table's entry i is.
  const std::vector<TensorPlace>& places() const { return places_; }
  const WeightFile& FileOf(size_t entry) const { return files_[places_[entry].file]; }
  const StoredTensor& TensorOf(size_t entry) const { return FileOf(entry).tensors[places_[entry].tensor]; }
  // What is worth a user's eye and no reason to refuse.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  ModelFolder() = default;
  std::filesystem::path folder_;
  ModelConfig config_;
  std::optional<std::filesystem::path> tokenizer_file_;
  std::vector<WeightFile> files_;
  std::vector<WeightEntry> table_;
  std::vector<TensorPlace> places_;
  std::vector<std::string> warnings_;
};

}  // namespace stablelm
