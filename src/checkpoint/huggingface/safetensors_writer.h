// Writes a safetensors file: first the header, from a list of entries, then the tensor data, in any order and from any
// thread. Atomic: the file appears only when it is complete.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/tensor.h"

namespace stablelm {

struct SafetensorsEntry {
  std::string name;  // UTF-8, unique
  DType dtype = DType::kF32;
  Shape shape;
};

class SafetensorsWriter {
 public:
  // Lays out the file as Hugging Face's writer does (largest element type first, then by name; the header padded so
  // that the data start at a multiple of 8) and reserves the disk space. The default metadata is what transformers
  // expects. `shown`: as for AtomicFile. Throws Error.
  SafetensorsWriter(const std::filesystem::path& path, const std::vector<SafetensorsEntry>& entries,
                    const std::map<std::string, std::string>& metadata = {{"format", "pt"}},
                    const std::filesystem::path& shown = {});

  uint64_t TensorBytes(size_t entry) const { return places_[entry].bytes; }
  // Writes bytes of one tensor at byte `offset` within it; `entry` is the index in the constructor's list. Several
  // threads may write disjoint ranges at once. Throws Error.
  void WriteAt(size_t entry, uint64_t offset, std::span<const std::byte> bytes);
  // Every byte of every tensor must have been written. Throws Error.
  void Commit();

 private:
  struct Place {
    uint64_t offset = 0;  // from the start of the file
    uint64_t bytes = 0;
  };
  std::vector<Place> places_;  // in the order of the constructor's list
  uint64_t data_bytes_ = 0;
  std::atomic<uint64_t> written_{0};
  std::unique_ptr<AtomicFile> file_;
};

}  // namespace stablelm
