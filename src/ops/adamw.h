// One step of AdamW with decoupled weight decay (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019),
// as torch.optim.AdamW and DeepSpeed's FusedAdam compute it: epsilon outside the root, after the bias correction.
//
//   g = gradient * gradient_scale;  w = w (1 - rate * decay)
//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//   w = w - rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
//
// Moments below 2^-126, the denormals, become zero. Those of tokens that no longer occur fade to there and would stay:
// 0.9 times the smallest number rounds to itself. Processors compute with denormals many times more slowly, and no
// weight changes, since the root of 2^-126 is far below epsilon.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stablelm {

struct AdamWStep {
  double rate = 0;
  double beta1 = 0.9, beta2 = 0.99;
  double epsilon = 1e-8;
  double decay = 0;
  int64_t t = 1;              // this step's number, from 1
  double gradient_scale = 1;  // clipping and unscaling
};

// n elements, on the calling thread. An element's bits depend on its own values alone. All arrays are fp32; any
// alignment.
void AdamW(const AdamWStep& step, size_t n, const float* gradient, float* weights, float* m, float* v);

}  // namespace stablelm
