// The backward pass of one layer (model/block.h), from the activations that its forward pass kept.
#pragma once

#include <cstdint>
#include <span>

#include "model/block.h"
#include "train/gradient_observer.h"
#include "train/precision.h"
#include "train/step_timer.h"

namespace stablelm {

// The gradients of a layer's parameters; null: not trained. Matrices in packed order (train/parameter_table.h).
struct NormGradients {
  float *weight = nullptr, *bias = nullptr;
  bool any() const { return weight || bias; }
};
struct LinearGradients {
  float *weight = nullptr, *bias = nullptr;
  float *lora_a = nullptr, *lora_b = nullptr;  // of the one adapter that is trained; both or none
  bool any() const { return weight || bias || lora_a; }
};
struct BlockGradients {
  NormGradients attn_norm;
  LinearGradients qkv, attn_out;
  NormGradients mlp_norm;
  LinearGradients mlp_up, mlp_down;
};

// Gradients of activations; the buffers are overwritten.
struct BackwardBuffers {
  float* d_hidden = nullptr;    // [T, F]
  float* d_qkv = nullptr;       // [T, 3C]
  float* d_attended = nullptr;  // [T, C]
  float* d_normed = nullptr;    // [T, C]
  float* low_rank = nullptr;    // [T, r], of adapters
};

struct BlockBackwardInput {
  const ModelConfig& config;
  int64_t layer = 0;
  int64_t rows = 0;                              // T
  std::span<const AttentionSequence> sequences;  // each with start 0
  const RotaryTable& rotary;
  BlockActivations activations;  // as RunBlock left them
  const float* d_y = nullptr;    // [T, C], gradient of the layer's output
  float* d_x = nullptr;          // [T, C], gradient of its input; must not overlap d_y
  // Whether anything below the layer is trained. If not, d_x is undefined afterwards, and the layer stops at its lowest
  // trained parameters.
  bool propagates = true;
  const AdapterDropout* dropout = nullptr;  // as in the forward pass; may be null
  BackwardBuffers buffers;
  BlockGradients gradients;
  bool add = false;  // parameter gradients += instead of =
  Precision precision = Precision::kF32;
  GradientObserver* observer = nullptr;  // may be null
  StepTimer* timer = nullptr;            // may be null
};

void BlockBackward(const BlockWeights& w, const BlockBackwardInput& in, ExecutionContext& exec);

}  // namespace stablelm
