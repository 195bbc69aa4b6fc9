// Reads GGUF: a single file with key-value metadata, a list of tensors, and the tensor data.
//
// Follows ggml's docs/gguf.md, versions 2 and 3 (the same layout), little-endian. Treats the file as hostile. Checks
// counts against the file size before allocating, that every string and array lies inside the file, that keys and names
// are unique, and that tensor data lie inside the file and do not overlap. Errors name the field and its byte offset;
// for a truncated file, its size and the size that it must have at least. Keys are visible ASCII; names are UTF-8 of at
// most 64 bytes without control characters; at most 100,000 of each; arrays nest at most 4 deep. Never reads tensor
// data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/describe/stored_tensor.h"
#include "checkpoint/gguf/gguf_types.h"

namespace stablelm {

// An array, checked; refers to the file's bytes.
struct GgufArray {
  GgufType type = GgufType::kU8;  // of the elements
  uint64_t size = 0;
  std::span<const std::byte> bytes;

  // All elements. Strings: the array must have strings. Integers: any integer type, nullopt for other types.
  std::vector<std::string_view> Strings() const;
  std::optional<std::vector<int64_t>> Integers() const;
};

// Integers are widened to 64 bits, f32 to double; GgufEntry::type is the type in the file.
using GgufValue = std::variant<bool, uint64_t, int64_t, double, std::string_view, GgufArray>;

struct GgufEntry {
  std::string_view key;
  GgufType type = GgufType::kU8;
  GgufValue value;
  uint64_t offset = 0;                 // byte offset of the entry in the file
  std::span<const std::byte> encoded;  // type and value as in the file, for copying
};

// Refers to the file's bytes, which must outlive it.
struct GgufHeader {
  std::string where;  // the file's name in errors
  uint32_t version = 0;
  uint64_t alignment = 32;
  uint64_t data_begin = 0;             // offset of the tensor data
  std::vector<GgufEntry> entries;      // in the order of the file
  std::vector<StoredTensor> tensors;   // in the order of the file; shapes have the slowest dimension first
  std::vector<uint64_t> info_offsets;  // [tensors]: byte offset of each tensor's description

  const GgufEntry* Find(std::string_view key) const;  // nullptr: no such key
  // The value of a key; nullopt if the key is missing. Throws Error if the value has another type. Integer accepts any
  // integer type, Real accepts f32 and f64.
  std::optional<std::string_view> Text(std::string_view key) const;
  std::optional<bool> Flag(std::string_view key) const;
  std::optional<int64_t> Integer(std::string_view key) const;
  // An f32 becomes the shortest decimal number that rounds to it: 1e-05 for 9.99999974e-06.
  std::optional<double> Real(std::string_view key) const;
  const GgufArray* Array(std::string_view key, GgufType elements) const;  // nullptr: no such key
  [[noreturn]] void Fail(
      std::string_view key, const std::string& what, const std::string& found, const std::string& expected,
      const std::string& hint = "the file was edited or damaged: download or convert it again") const;
};

// The kind of a model file from before GGUF that begins with these bytes: "ggml", "ggmf", "ggjt", "ggla (a LoRA
// adapter)"; empty for all others.
std::string_view OldGgmlKind(std::string_view magic);

// `file` is the whole file, `where` its name in errors. Throws Error.
GgufHeader ParseGguf(std::span<const std::byte> file, const std::string& where);

// A mapped GGUF file. Movable; views live as long as the object.
class GgufFile {
 public:
  explicit GgufFile(const std::filesystem::path& path);
  const std::filesystem::path& path() const { return map_->path(); }
  const GgufHeader& header() const { return header_; }
  const MappedFile& map() const { return *map_; }
  std::shared_ptr<const MappedFile> shared_map() const { return map_; }

 private:
  std::shared_ptr<const MappedFile> map_;
  GgufHeader header_;
};

}  // namespace stablelm
