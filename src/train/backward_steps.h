// The steps of BlockBackward: the mirror of model/block_steps.h. Also those of the final norm and the output matrix.
#pragma once

#include "model/linear.h"
#include "ops/prologue.h"
#include "train/block_backward.h"

namespace stablelm {

// Gradients of the parameters of y = prologue(x) Wᵀ + b, each when its pointer is not null, and of prologue(x), when
// d_rows is not null. With adapters,
//   y += s B z,  z = A u,  u = dropout(prologue(x)):
//   dB = dyᵀ (s z),  dz = s dy B,  dA = dzᵀ u,  and dropout(dz A) is added to the gradient of prologue(x).
struct LinearBackwardInput {
  const float* dy = nullptr;  // [T, N]
  ProductRows x;              // [T, K], as the forward product took them
  const Linear* linear = nullptr;
  LinearGradients gradients;
  float* d_rows = nullptr;  // [T, K] = dy W, and what the adapter adds
  bool add = false;         // to the gradients of parameters
  Precision precision = Precision::kF32;
  StepTimer* timer = nullptr;
  float* low_rank = nullptr;                // [T, r], overwritten; not needed without adapters
  const AdapterDropout* dropout = nullptr;  // as in the forward pass
};
void LinearBackward(const LinearBackwardInput& in, ExecutionContext& exec);

class BackwardSteps {
 public:
  // Both arguments must outlive this object.
  BackwardSteps(const BlockBackwardInput& in, ExecutionContext& exec) : in_(in), exec_(exec) {}

  ProductRows Rows(const float* x) const { return {.x = x, .rows = in_.rows}; }
  ProductRows Norm(const LayerNormWeights& norm, const float* x) const;
  ProductRows Gelu(const float* hidden) const;

  // y = linear(operand): the gradients of W, b and the operand, from dy; d_operand null: of W and b alone.
  void Product(const float* dy, const ProductRows& operand, const Linear& linear, const LinearGradients& gradients,
               float* d_operand, const char* module) const;
  // d_hidden *= gelu'(hidden)
  void GeluBackward(const float* hidden, float* d_hidden) const;
  // dx = residual + gradient of norm(x); dx may be residual.
  void NormBackward(const LayerNormWeights& norm, const float* x, const float* dy, const float* residual, float* dx,
                    const NormGradients& gradients, const char* module) const;
  void Attention(const QkvLayout& layout, const float* d_attended, float* d_qkv) const;

 private:
  GeluForm Form() const { return in_.config.activation == Activation::kGeluErf ? GeluForm::kErf : GeluForm::kTanh; }
  void Show(const char* module, const float* d, int64_t width) const;

  const BlockBackwardInput& in_;
  ExecutionContext& exec_;
};

}  // namespace stablelm
