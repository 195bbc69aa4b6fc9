// Writes a model as a Hugging Face folder: config.json, safetensors shards with their index, tokenizer files. Atomic:
// the folder appears only when it is complete.
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
#include "base/new_folder.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "checkpoint/huggingface/safetensors_writer.h"

namespace stablelm {

struct WriterOptions {
  DType dtype = DType::kF32;                 // kF32, kF16 or kBF16: in config.json and for all tensors
  std::vector<DType> types = {};             // [table] or empty: overrides dtype for each tensor
  uint64_t max_shard_bytes = 5'000'000'000;  // a larger tensor gets its own file
};

// Use: create, WriteAt until every tensor is complete, Commit. Without Commit the destructor removes everything. Writes
// to a hidden folder next to `out`, on the same file system, and renames it at the end.
class FolderWriter {
 public:
  // `out` must not exist or must be an empty folder; its parent must exist. Reserves the disk space. Throws Error.
  FolderWriter(const std::filesystem::path& out, const ModelConfig& config, const WriterOptions& options);
  // A folder without a model: for WriteText, CopyFile and AddTensors.
  explicit FolderWriter(const std::filesystem::path& out);
  FolderWriter(const FolderWriter&) = delete;
  FolderWriter& operator=(const FolderWriter&) = delete;
  ~FolderWriter();

  const std::vector<WeightEntry>& table() const { return table_; }
  uint64_t TotalBytes() const { return total_bytes_; }  // of all tensors
  // Writes bytes of one table entry at byte `offset` within the tensor, in C order and in its final type. Several
  // threads may write disjoint ranges at once. Throws Error.
  void WriteAt(size_t entry, uint64_t offset, std::span<const std::byte> bytes);
  // Writes a small file into the folder under `name` (a plain file name). Overwrites an existing file.
  void WriteText(const std::string& name, std::string_view text);
  // Copies a file into the folder under `name` (a plain file name).
  void CopyFile(const std::filesystem::path& source, const std::string& name);
  // Copies the tokenizer files and generation settings of the model folder `source`, as far as they exist.
  void CopyTokenizer(const std::filesystem::path& source);
  // Adds another safetensors file, reserves its disk space, and returns its writer; Commit completes it too.
  SafetensorsWriter& AddTensors(const std::string& name, const std::vector<SafetensorsEntry>& entries);
  // Every byte of every tensor must have been written. `hashes`: adds SHA256SUMS, see folder_hashes.h.
  void Commit(bool hashes = false);

 private:
  struct Place {
    size_t shard = 0;
    size_t entry = 0;  // index in that shard
  };
  NewFolder folder_;  // declared before the shards, so that they close first
  std::vector<WeightEntry> table_;
  std::vector<Place> places_;
  std::vector<std::unique_ptr<SafetensorsWriter>> shards_, others_;
  uint64_t total_bytes_ = 0;
};

// Parses "5GB", "500MB", "1GiB", "123456": sizes of --max-shard-size, at least 1 byte. Throws UsageError.
uint64_t ParseByteSize(std::string_view text, const std::string& where);

}  // namespace stablelm
