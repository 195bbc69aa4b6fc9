// y = W x + b, plus its adapters. Every matrix of the model is a Linear, so that its representation (packed, quantized,
// with adapters) is handled in one place.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "model/adapter.h"
#include "ops/execution_context.h"
#include "ops/packed_matrix.h"
#include "ops/prologue.h"

namespace stablelm {

// Immutable; contexts may share it. Owns the weights unless they are a view (PackedMatrix::View); does not own the
// bias.
class Linear {
 public:
  Linear() = default;
  // bias [rows] or null. Rows of x are rounded to rows_as (MatMulInput::rows_as): training in fp16.
  Linear(PackedMatrix weight, const float* bias, DType rows_as = DType::kF32, std::vector<Adapter> adapters = {})
      : weight_(std::move(weight)), bias_(bias), rows_as_(rows_as), adapters_(std::move(adapters)) {}

  // The same weights, borrowed from this Linear, with other adapters.
  Linear WithAdapters(std::vector<Adapter> adapters) const;

  int64_t rows() const { return static_cast<int64_t>(weight_.rows()); }
  int64_t columns() const { return static_cast<int64_t>(weight_.columns()); }
  DType type() const { return weight_.type(); }
  size_t bytes() const { return weight_.bytes(); }  // without adapters
  const PackedMatrix& weight() const { return weight_; }
  const float* bias() const { return bias_; }
  std::span<const Adapter> adapters() const { return adapters_; }
  // Row n of W as fp32 [columns()].
  void ReadRow(int64_t n, float* out) const { weight_.UnpackRow(static_cast<size_t>(n), out); }

  // y [T, rows()] = W prologue(x) + b for the T rows of x, plus the adapters; y must overlap neither x nor the
  // prologue's buffer. The bits of a row do not depend on the other rows. dropout: of the adapters, in training.
  void Apply(const ProductRows& x, float* y, ExecutionContext& exec, const AdapterDropout* dropout = nullptr) const;

 private:
  PackedMatrix weight_;
  const float* bias_ = nullptr;
  DType rows_as_ = DType::kF32;
  std::vector<Adapter> adapters_;
};

}  // namespace stablelm
