// Writes a GGUF file (version 3): first the metadata and the list of tensors, then the tensor data, in any order and
// from any thread. Atomic: the file appears only when it is complete.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/tensor.h"
#include "checkpoint/gguf/gguf.h"

namespace stablelm {

// Key-value metadata, in order. Setting an existing key replaces its value and keeps its position.
class GgufMetadata {
 public:
  // Sets a number with the GGUF type of T: Set<uint32_t>("gptneox.block_count", 16).
  template <typename T>
  requires std::is_arithmetic_v<T>
  void Set(std::string_view key, std::type_identity_t<T> value) {
    std::string bytes = Bytes(static_cast<uint32_t>(GgufTypeOf<T>()));
    SetEncoded(key, bytes.append(Bytes(value)));
  }
  void SetText(std::string_view key, std::string_view text);
  // Sets an array of numbers (T as above, not bool).
  template <typename T>
  requires std::is_arithmetic_v<T>
  void SetArray(std::string_view key, std::span<const T> values) {
    static_assert(!std::is_same_v<T, bool>);
    std::string bytes = ArrayHead(GgufTypeOf<T>(), values.size());
    SetEncoded(key, bytes.append(reinterpret_cast<const char*>(values.data()), values.size_bytes()));
  }
  void SetTexts(std::string_view key, std::span<const std::string> texts);
  void Copy(const GgufEntry& entry);  // with type and value as in its file
  void Remove(std::string_view key);
  std::optional<std::string> Text(std::string_view key) const;  // nullopt if missing or not a string

  const std::vector<std::pair<std::string, std::string>>& entries() const { return entries_; }

 private:
  template <typename T>
  static std::string Bytes(T value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
  }
  static std::string ArrayHead(GgufType type, uint64_t size);
  void SetEncoded(std::string_view key, std::string bytes);

  std::vector<std::pair<std::string, std::string>> entries_;  // key; type and value as encoded in a file
};

struct GgufTensorEntry {
  std::string name;  // unique, at most 63 bytes (llama.cpp's limit)
  DType dtype = DType::kF32;
  Shape shape;  // slowest dimension first, at most 4; the last is a multiple of the type's block size
};

class GgufWriter {
 public:
  // Writes everything before the tensor data and reserves the disk space. The data
  // follow in the order of `tensors`. Uses the alignment of "general.alignment" if the metadata has it. Throws Error.
  // `replace` as for AtomicFile.
  GgufWriter(const std::filesystem::path& path, const GgufMetadata& metadata, std::vector<GgufTensorEntry> tensors,
             std::optional<bool> replace = {});

  uint64_t TensorBytes(size_t tensor) const { return places_[tensor].bytes; }
  uint64_t FileBytes() const { return file_bytes_; }
  // Several threads may write disjoint ranges at once. Throws Error.
  void WriteAt(size_t tensor, uint64_t offset, std::span<const std::byte> bytes);
  // Path of the temporary file until Commit; it has everything written so far.
  const std::filesystem::path& temporary() const { return file_->temporary(); }
  // Replaces values that were unknown before the data was written. The metadata must keep the same size in bytes.
  void ReplaceMetadata(const GgufMetadata& metadata);
  // Every byte of every tensor must have been written.
  void Commit();

 private:
  struct Place {
    uint64_t offset = 0;  // from the start of the data
    uint64_t bytes = 0;
  };
  // Everything before the data: metadata, list of tensors, padding. Sets places_, with offsets from the start of the
  // data.
  std::string Head(const GgufMetadata& metadata);

  const std::vector<GgufTensorEntry> tensors_;
  std::unique_ptr<AtomicFile> file_;
  std::vector<Place> places_;
  uint64_t data_begin_ = 0;
  uint64_t data_bytes_ = 0;  // without padding
  uint64_t file_bytes_ = 0;
  std::atomic<uint64_t> written_{0};
};

}  // namespace stablelm
