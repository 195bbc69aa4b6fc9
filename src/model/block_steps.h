// The steps of a block. Reports the output of each step to the pass's observer (model/forward_observer.h).
//
// A norm or activation is fused into the product that reads it, as its prologue (ops/prologue.h). With an observer it
// runs as a step of its own.
#pragma once

#include "model/block.h"
#include "ops/prologue.h"

namespace stablelm {

class BlockSteps {
 public:
  // Both arguments must outlive this object.
  BlockSteps(const BlockInput& in, ExecutionContext& exec) : in_(in), exec_(exec) {}

  // The left operand of a product, and the checkpoint's name for the module that its prologue computes.
  struct Operand {
    ProductRows rows;
    const char* module = nullptr;
  };
  Operand Rows(const float* x) const { return {.rows = {.x = x, .rows = in_.rows}}; }
  Operand AttnNorm(const LayerNormWeights& norm, const float* x) const { return Norm(norm, x, "input_layernorm"); }
  Operand MlpNorm(const LayerNormWeights& norm, const float* x) const {
    return Norm(norm, x, "post_attention_layernorm");
  }
  Operand Gelu(const float* hidden) const;

  // y = linear(operand)
  void Product(const Operand& operand, const Linear& linear, float* y, const char* module) const;
  // Rotates queries and keys, stores keys and values in the cache, and attends to it. Throws Error when a key or value
  // overflows the cache's type. log_sum_exp may be null.
  void Attention(const QkvLayout& layout, float* qkv, float* attended, float* log_sum_exp) const;
  // y = a + x and y = (m + a) + x, [T, C]
  void Add(const float* a, const float* x, float* y) const;
  void AddPair(const float* m, const float* a, const float* x, float* y) const;

 private:
  Operand Norm(const LayerNormWeights& norm, const float* x, const char* module) const;
  size_t ResidualSize() const { return static_cast<size_t>(in_.rows * in_.config.hidden_size); }
  void Show(const char* module, const float* y, int64_t width) const;

  const BlockInput& in_;
  ExecutionContext& exec_;
};

}  // namespace stablelm
