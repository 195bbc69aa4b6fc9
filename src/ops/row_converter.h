// Converts rows of a tensor from their stored type to another. Used to write quantized files and to quantize a model
// while it is loaded, so that both give the same bits and the same errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/dtype.h"

namespace stablelm {

// What to do with values that are NaN or infinite in the new type. Quantized types cannot store them and always refuse
// them.
enum class NonFinite : uint8_t {
  kKeep,
  kRefuseNew,  // refuse values that were finite before: the new type's range is too small
  kRefuse,
};

// Immutable; threads may convert rows concurrently.
class RowConverter {
 public:
  struct Options {
    DType from = DType::kF32;             // a float type or whole blocks of a quantized one
    DType to = DType::kF32;               // fp32, fp16, bf16, or a quantized type that divides the rows
    size_t width = 1;                     // values per row
    std::span<const float> weights = {};  // of the columns when quantizing (ImportanceWeights); may be empty
    bool matrix = false;                  // errors name row and column, not a flat index
    NonFinite non_finite = NonFinite::kKeep;
    std::string where;  // file and tensor, for errors
  };
  explicit RowConverter(Options options) : o_(std::move(options)) {}

  // True when Convert copies bit by bit and refuses nothing.
  bool Copies() const { return o_.from == o_.to && o_.non_finite != NonFinite::kRefuse; }
  // Floats of scratch that Convert needs.
  size_t ScratchFloats() const { return IsQuantized(o_.to) && o_.from != o_.to ? o_.width : 0; }

  // Converts row `row` of the tensor from `from` to `to`, both at any byte address. Equal types are copied bit by bit.
  // Throws Error for a value that the new type cannot store.
  void Convert(int64_t row, const std::byte* from, std::span<float> scratch, std::byte* to) const;

 private:
  void RequireHeld(int64_t row, const std::byte* from, const std::byte* to) const;
  [[noreturn]] void Fail(int64_t row, size_t column, float value) const;

  const Options o_;
};

}  // namespace stablelm
