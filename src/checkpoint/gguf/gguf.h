// Reading GGUF: keys with values, a list of tensors, their data; one file with everything that a model needs.
//
// Follows ggml's docs/gguf.md, versions 2 and 3 (the same layout), little-endian. Nothing is trusted: counts are held
// against the size of the file before anything is allocated, every string and array lies inside it, no key or name
// twice, every tensor's data inside and apart from the others'. An error names the field and its byte. Keys are visible
// ASCII, names UTF-8 of at most 64 bytes without control characters; at most 100,000 of each; arrays at most 4 deep.
// Tensor data is never touched.
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

// An array as it lies in the file: checked, not copied.
struct GgufArray {
  GgufType type = GgufType::kU8;  // of the elements
  uint64_t size = 0;
  std::span<const std::byte> bytes;

  // All elements. The array is one of strings; of integers of any type (nullopt otherwise).
  std::vector<std::string_view> Strings() const;
  std::optional<std::vector<int64_t>> Integers() const;
};

// Integers are widened, an f32 becomes a double; the entry's type says what is in the file.
using GgufValue = std::variant<bool, uint64_t, int64_t, double, std::string_view, GgufArray>;

struct GgufEntry {
  std::string_view key;
  GgufType type = GgufType::kU8;
  GgufValue value;
  uint64_t offset = 0;                 // of the entry, from the start of the file
  std::span<const std::byte> encoded;  // type and value as in the file, for copying
};

// Points into the file's bytes, which outlive it.
struct GgufHeader {
  std::string where;  // the file's name in errors
  uint32_t version = 0;
  uint64_t alignment = 32;
  uint64_t data_begin = 0;             // first byte of the tensors' data
  std::vector<GgufEntry> entries;      // in the order of the file
  std::vector<StoredTensor> tensors;   // in the order of the file; shapes slowest dimension first
  std::vector<uint64_t> info_offsets;  // [tensors]: where the file describes each

  const GgufEntry* Find(std::string_view key) const;  // nullptr: no such key
  // The value of a key; empty when the key is not there. Throws Error when it is of another kind: any integer type will
  // do for Integer, f32 and f64 for Real.
  std::optional<std::string_view> Text(std::string_view key) const;
  std::optional<bool> Flag(std::string_view key) const;
  std::optional<int64_t> Integer(std::string_view key) const;
  // An f32 is taken as the shortest decimal number that it is nearest to: 1e-05 where the file says 9.99999974e-06.
  std::optional<double> Real(std::string_view key) const;
  const GgufArray* Array(std::string_view key, GgufType elements) const;  // nullptr: no such key
  [[noreturn]] void Fail(std::string_view key, const std::string& what, const std::string& found,
                         const std::string& expected, const std::string& hint = {}) const;
};

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
