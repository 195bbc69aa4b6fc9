// Rows of a tensor from their stored type to another: what writes quantized files and what quantizes a model while it
// is loaded, so that both give the same bits and the same errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/dtype.h"

namespace stablelm {

// What a conversion does with values that are NaN or infinite in the new type. Quantized types hold none, so that they
// are refused there in any case.
enum class NonFinite : uint8_t {
  kKeep,
  kRefuseNew,  // those that were finite before: the new type's range is too small
  kRefuse,
};

// Immutable; rows may be converted on many threads at once.
class RowConverter {
 public:
  struct Options {
    DType from = DType::kF32;             // a float type or whole blocks of a quantized one
    DType to = DType::kF32;               // fp32, fp16, bf16, or a quantized type that divides the rows
    size_t width = 1;                     // values of a row
    std::span<const float> weights = {};  // of the columns when the row is quantized (ImportanceWeights); may be empty
    bool matrix = false;                  // errors name row and column, not a flat index
    NonFinite non_finite = NonFinite::kKeep;
    std::string where;  // file and tensor, for errors
  };
  explicit RowConverter(Options options) : o_(std::move(options)) {}

  // Whether Convert copies bit by bit and refuses nothing.
  bool Copies() const { return o_.from == o_.to && o_.non_finite != NonFinite::kRefuse; }
  // Floats that Convert needs for itself.
  size_t ScratchFloats() const { return IsQuantized(o_.to) && o_.from != o_.to ? o_.width : 0; }

  // Row number `row` of the tensor, which lies at `from`, to `to`; both at any byte address. Equal types are copied bit
  // by bit. Throws Error: a value that the new type does not hold.
  void Convert(int64_t row, const std::byte* from, std::span<float> scratch, std::byte* to) const;

 private:
  void RequireHeld(int64_t row, const std::byte* from, const std::byte* to) const;
  [[noreturn]] void Fail(int64_t row, size_t column, float value) const;

  const Options o_;
};

}  // namespace stablelm
