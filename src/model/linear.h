// y = x Wᵀ + b: every matrix of the model is a Linear, so that what a matrix is (stored, later packed, quantized, with
// adapters) is decided in one place.
#pragma once

#include <cstdint>

#include "base/tensor.h"
#include "base/thread_pool.h"
#include "ops/workspace.h"

namespace stablelm {

// Immutable, shared between contexts; views weights that someone else owns (LoadedWeights).
class Linear {
 public:
  Linear() = default;
  // weight [out, in] fp32, fp16 or bf16; bias [out] fp32 or null.
  Linear(TensorView weight, const float* bias) : weight_(weight), bias_(bias) {}

  int64_t out_features() const { return weight_.shape[0]; }
  int64_t in_features() const { return weight_.shape[1]; }
  const TensorView& weight() const { return weight_; }

  // x [rows, in], y [rows, out], both contiguous and not overlapping. A row's bits do not depend on the other rows.
  void Apply(const float* x, int64_t rows, float* y, ThreadPool& pool, Workspace& workspace) const;

 private:
  TensorView weight_;
  const float* bias_ = nullptr;
};

}  // namespace stablelm
