// Reading safetensors: an 8-byte length, a JSON header, raw little-endian C-order tensors behind it.
//
// Follows huggingface/safetensors (safetensors/src/tensor.rs) and refuses what it refuses: repeated names, holes,
// overlaps, trailing bytes. Names without control characters, at most 100,000 tensors, rank at most 8. Tensor data is
// never touched; tensors may start at any byte address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/tensor.h"
#include "checkpoint/describe/stored_tensor.h"

namespace stablelm {

struct SafetensorsHeader {
  std::vector<StoredTensor> tensors;            // in the order of their data
  std::map<std::string, std::string> metadata;  // __metadata__
  uint64_t data_begin = 0;                      // first byte after the header
};

// `file` is the whole file, `where` its name in errors. Throws Error.
SafetensorsHeader ParseSafetensors(std::span<const std::byte> file, const std::string& where);

// A mapped safetensors file with its tensors by name. Views live as long as the object. Movable.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  const SafetensorsHeader& header() const { return header_; }
  const StoredTensor* Find(std::string_view name) const;  // nullptr: no such tensor
  // Throws Error when the tensor is missing or of a type that this program has no use for.
  TensorView Get(std::string_view name) const;

 private:
  MappedFile map_;
  SafetensorsHeader header_;
  std::map<std::string_view, const StoredTensor*> by_name_;
};

}  // namespace stablelm
