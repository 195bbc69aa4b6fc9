// A view of a dense tensor: data pointer, element type, shape, device. Row-major (C order), slowest dimension first, no
// strides. A view owns nothing; the function that returns it documents the lifetime of the bytes.
//
// The bytes may be unaligned (safetensors guarantees no alignment): use unaligned loads only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "base/dtype.h"

namespace stablelm {

// Up to 8 dimensions; rank 0 has one element.
class Shape {
 public:
  static constexpr size_t kMaxRank = 8;
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  explicit Shape(std::span<const int64_t> dims);

  size_t rank() const { return rank_; }
  int64_t operator[](size_t i) const { return dims_[i]; }
  std::span<const int64_t> dims() const { return {dims_.data(), rank_}; }
  int64_t NumElements() const;  // product of the dimensions; the file reader checked that it fits in int64
  bool operator==(const Shape& other) const;
  std::string ToString() const;  // "[12288, 4096]"

 private:
  std::array<int64_t, kMaxRank> dims_{};
  size_t rank_ = 0;
};

struct TensorView {
  const std::byte* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;

  int64_t NumElements() const { return shape.NumElements(); }
};

}  // namespace stablelm
