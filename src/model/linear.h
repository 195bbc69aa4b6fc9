// y = x Wᵀ + b: every matrix of the model is a Linear, so that what a matrix is (packed, quantized, later with
// adapters) is decided in one place.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/tensor.h"
#include "base/thread_pool.h"
#include "ops/packed_matrix.h"
#include "ops/row_step.h"
#include "ops/workspace.h"

namespace stablelm {

// How a matrix is brought from where it is stored into the form that products read.
struct PackSource {
  TensorView stored;                  // [out, in] fp32, fp16, bf16 or quantized
  DType type = DType::kF32;           // of the weights: that of the stored ones, fp32, fp16, bf16, or a quantized type
  Compute compute = Compute::kExact;  // kFast: floats of that type are then rounded to bf16
  std::string name;                   // for errors
  bool check_values = false;  // refuse weights that overflow when converted; quantizing refuses them in any case
  std::function<void(size_t begin, size_t bytes)> done = {};  // these bytes of `stored` were read; from any thread
};

// Immutable, shared between contexts; owns the weights, views the bias.
class Linear {
 public:
  Linear() = default;
  // bias [out] fp32 or null. `pool` may be null. Throws Error when there is no memory.
  Linear(const PackSource& source, const float* bias, ThreadPool* pool);

  const PackedMatrix& weight() const { return weight_; }

  // x [rows, in], y [rows, out], both contiguous and not overlapping. A row's bits do not depend on the other rows.
  void Apply(const float* x, int64_t rows, float* y, ThreadPool& pool, Workspace& workspace) const;
  // Of rows that go through `step` first; `stepped` [rows, in] is room for them and may be x (MatMulInput).
  void ApplyAfter(const RowStep& step, const float* x, float* stepped, int64_t rows, float* y, ThreadPool& pool,
                  Workspace& workspace) const;

 private:
  PackedMatrix weight_;
  const float* bias_ = nullptr;
};

}  // namespace stablelm
