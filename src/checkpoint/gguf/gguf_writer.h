// Writing a GGUF file (version 3): keys with their values and the list of tensors first, then the tensors' bytes in any
// order and from any thread. The file appears when it is complete, or not at all.
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

// Keys with their values, in order. Setting a key that is there replaces its value in its place.
class GgufMetadata {
 public:
  // A number, stored as exactly this type: Set<uint32_t>("gptneox.block_count", 16).
  template <typename T>
  requires std::is_arithmetic_v<T>
  void Set(std::string_view key, std::type_identity_t<T> value) {
    std::string bytes = Bytes(static_cast<uint32_t>(GgufTypeOf<T>()));
    SetEncoded(key, bytes.append(Bytes(value)));
  }
  void SetText(std::string_view key, std::string_view text);
  // An array of numbers (T as above, not bool).
  template <typename T>
  requires std::is_arithmetic_v<T>
  void SetArray(std::string_view key, std::span<const T> values) {
    static_assert(!std::is_same_v<T, bool>);
    std::string bytes = ArrayHead(GgufTypeOf<T>(), values.size());
    SetEncoded(key, bytes.append(reinterpret_cast<const char*>(values.data()), values.size_bytes()));
  }
  void SetTexts(std::string_view key, std::span<const std::string> texts);
  void Copy(const GgufEntry& entry);  // as in the file that it is from
  void Remove(std::string_view key);
  bool Contains(std::string_view key) const;
  std::optional<std::string> Text(std::string_view key) const;  // none when there is no such text

  const std::vector<std::pair<std::string, std::string>>& entries() const { return entries_; }

 private:
  template <typename T>
  static std::string Bytes(T value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
  }
  static std::string ArrayHead(GgufType type, uint64_t size);
  void SetEncoded(std::string_view key, std::string bytes);

  std::vector<std::pair<std::string, std::string>> entries_;  // key; type and value as in a file
};

struct GgufTensorEntry {
  std::string name;  // each once, at most 63 bytes (llama.cpp's limit)
  DType dtype = DType::kF32;
  Shape shape;  // slowest dimension first, at most 4; the last a whole number of the type's blocks
};

class GgufWriter {
 public:
  // Writes everything before the data, which follow in the order of `tensors`, and reserves the room on disk. A
  // "general.alignment" among the metadata is obeyed. Throws Error.
  GgufWriter(const std::filesystem::path& path, const GgufMetadata& metadata, std::vector<GgufTensorEntry> tensors);

  uint64_t TensorBytes(size_t tensor) const { return places_[tensor].bytes; }
  uint64_t FileBytes() const { return file_bytes_; }
  // May be called from several threads on disjoint ranges. Throws Error.
  void WriteAt(size_t tensor, uint64_t offset, std::span<const std::byte> bytes);
  // The file as long as it has no name of its own: complete but for what is still to be written.
  const std::filesystem::path& temporary() const { return file_->temporary(); }
  // Values that were not known before the data, for keys that are there: the metadata must take the same bytes.
  void ReplaceMetadata(const GgufMetadata& metadata);
  // Every byte of every tensor has been written.
  void Commit();

 private:
  struct Place {
    uint64_t offset = 0;  // from the beginning of the data
    uint64_t bytes = 0;
  };
  // Everything before the data: keys, values, list of tensors, padding. Fills in places_, counted from the data's
  // begin.
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
