// Location, type and shape of one tensor in a weight file of any format: the common result of the safetensors, PyTorch
// and GGUF readers. The readers have checked that all its bytes are inside the file and that no product overflows.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/tensor.h"

namespace stablelm {

struct StoredTensor {
  std::string name;
  std::string stored_as;       // the type's name in the file: "BF16", "HalfStorage"
  std::optional<DType> dtype;  // empty: a type of the format that this program does not support
  Shape shape;
  std::vector<int64_t> strides;  // in elements, one per dimension; empty: contiguous in C order
  uint64_t offset = 0;           // of the first element, from the start of the file; any alignment
  uint64_t bytes = 0;            // of all elements

  bool contiguous() const { return strides.empty(); }
  std::string TypeName() const { return dtype ? std::string(NameOf(*dtype)) : stored_as; }
};

// Copies the elements to `out` in C order. `file` is the whole file, `out` has tensor.bytes bytes, dtype must be set.
void GatherTensor(const StoredTensor& tensor, std::span<const std::byte> file, std::span<std::byte> out);

// a * b and a + b; nullopt if the result exceeds the largest int64.
inline std::optional<uint64_t> CheckedMul(uint64_t a, uint64_t b) {
  uint64_t result;
  if (__builtin_mul_overflow(a, b, &result) || result > uint64_t{std::numeric_limits<int64_t>::max()}) {
    return std::nullopt;
  }
  return result;
}
inline std::optional<uint64_t> CheckedAdd(uint64_t a, uint64_t b) {
  uint64_t result;
  if (__builtin_add_overflow(a, b, &result) || result > uint64_t{std::numeric_limits<int64_t>::max()}) {
    return std::nullopt;
  }
  return result;
}

}  // namespace stablelm
