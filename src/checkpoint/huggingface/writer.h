// Writing a model as a Hugging Face folder: config.json, safetensors shards with their index, tokenizer files. The
// folder appears complete under its name, or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "checkpoint/huggingface/safetensors_writer.h"

namespace stablelm {

struct WriterOptions {
  DType dtype = DType::kF32;                 // kF32, kF16 or kBF16: in config.json, and of every tensor ...
  std::vector<DType> types = {};             // ... unless [table] the type of each is given
  uint64_t max_shard_bytes = 5'000'000'000;  // a larger tensor gets a file of its own
};

// Create, WriteAt until every tensor is whole, Commit. Destroyed without Commit, nothing is left behind. Works in a
// hidden folder beside `out`, on the same file system, which is renamed at the end.
class FolderWriter {
 public:
  // `out` must not exist or be an empty folder; its parent must exist. Reserves the room on disk. Throws Error.
  FolderWriter(const std::filesystem::path& out, const ModelConfig& config, const WriterOptions& options);
  FolderWriter(const FolderWriter&) = delete;
  FolderWriter& operator=(const FolderWriter&) = delete;
  ~FolderWriter();

  const std::vector<WeightEntry>& table() const { return table_; }
  uint64_t TotalBytes() const { return total_bytes_; }  // of all tensors
  // Bytes of entry i of the table, already in its type, C order, beginning at byte `offset` of the tensor. May be
  // called from several threads on disjoint ranges. Throws Error.
  void WriteAt(size_t entry, uint64_t offset, std::span<const std::byte> bytes);
  // Writes a small file into the folder under this name (a plain file name); one of that name is replaced.
  void WriteText(const std::string& name, std::string_view text);
  // Copies a file into the folder under this name (a plain file name).
  void CopyFile(const std::filesystem::path& source, const std::string& name);
  // Copies what the model folder `source` has of tokenizer and generation settings.
  void CopyTokenizer(const std::filesystem::path& source);
  void Commit();

 private:
  struct WorkFolder;  // removes itself
  struct Place {
    size_t shard = 0;
    size_t entry = 0;  // in that shard
  };
  std::filesystem::path out_;
  std::unique_ptr<WorkFolder> work_;  // before the shards: they close first
  std::vector<WeightEntry> table_;
  std::vector<Place> places_;
  std::vector<std::unique_ptr<SafetensorsWriter>> shards_;
  uint64_t total_bytes_ = 0;
};

// Parses "5GB", "500MB", "1GiB", "123456": sizes of --max-shard-size, at least 1 byte. Throws UsageError.
uint64_t ParseByteSize(std::string_view text, const std::string& where);

}  // namespace stablelm
