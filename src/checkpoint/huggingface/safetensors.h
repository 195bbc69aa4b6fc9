// Reads safetensors: an 8-byte header length, a JSON header, then raw little-endian tensors in C order.
//
// Follows huggingface/safetensors (safetensors/src/tensor.rs) and refuses the same files: duplicate names, gaps,
// overlaps, trailing bytes. Names must not contain control characters; at most 100,000 tensors, rank at most 8. Never
// reads tensor data; tensors may be unaligned.
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
  std::vector<StoredTensor> tensors;            // in order of their data offsets
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
  // Throws Error if the tensor is missing or its type is not supported.
  TensorView Get(std::string_view name) const;

 private:
  MappedFile map_;
  SafetensorsHeader header_;
  std::map<std::string_view, const StoredTensor*> by_name_;
};

}  // namespace stablelm
