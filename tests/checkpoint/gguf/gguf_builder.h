// Builds a GGUF file field by field, so that tests can corrupt every field.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

template <typename T>
std::string LittleEndian(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
inline std::string GgufString(std::string_view text) { return LittleEndian(uint64_t{text.size()}) + std::string(text); }
// A key with a value of type `type`, given as bytes.
inline std::string GgufKey(std::string_view key, uint32_t type, const std::string& value) {
  return GgufString(key) + LittleEndian(type) + value;
}
inline std::string GgufArrayOf(uint32_t type, uint64_t size, const std::string& elements) {
  return LittleEndian(type) + LittleEndian(size) + elements;
}

struct GgufTensorBytes {
  std::string name = "t";
  std::vector<uint64_t> dims = {4};  // as in the file: row length first
  uint32_t type = 0;                 // F32
  uint64_t offset = 0;
  std::string Encoded() const {
    std::string text = GgufString(name) + LittleEndian(static_cast<uint32_t>(dims.size()));
    for (const uint64_t d : dims) text += LittleEndian(d);
    return text + LittleEndian(type) + LittleEndian(offset);
  }
};

struct GgufBytes {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::vector<std::string> keys;     // encoded
  std::vector<std::string> tensors;  // encoded
  uint64_t surplus_keys = 0;         // counted in the header, but missing
  uint64_t surplus_tensors = 0;
  uint64_t alignment = 32;
  size_t data_bytes = 0;

  std::string Encoded() const {
    std::string text = magic + LittleEndian(version) + LittleEndian(tensors.size() + surplus_tensors) +
                       LittleEndian(keys.size() + surplus_keys);
    for (const std::string& key : keys) text += key;
    for (const std::string& tensor : tensors) text += tensor;
    text.resize((text.size() + alignment - 1) / alignment * alignment, '\0');
    return text + std::string(data_bytes, '\1');
  }
};

}  // namespace stablelm
