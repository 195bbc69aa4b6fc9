// Loss of a training batch and the gradient of the last layer's output.
//
// Only rows with a target reach the final norm and the output matrix. Their logits live for one chunk of rows: the
// gradient overwrites them and goes into the gradients of the output matrix and of the rows at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "checkpoint/describe/config.h"
#include "model/model_weights.h"
#include "train/block_backward.h"
#include "train/train_batch.h"
#include "train/train_shape.h"

namespace stablelm {

struct LossInput {
  TrainBatch batch;
  const float* x = nullptr;  // [T, C], output of the last layer
  float* d_x = nullptr;      // [T, C], its gradient: written, zero in rows without a target; null: losses alone
  double scale = 1;          // of the gradient: loss scale / loss tokens of the whole step
  NormGradients final_norm;  // null pointers: not trained
  float* output = nullptr;   // gradient of the output matrix, packed; null: not trained
  bool add = false;          // to the gradients of parameters
  Precision precision = Precision::kF32;
  GradientObserver* observer = nullptr;
};

// The buffers; one pass at a time.
class LossPass {
 public:
  LossPass(const ModelConfig& config, const TrainShape& shape);
  static uint64_t LogitBytes(const ModelConfig& config, const TrainShape& shape);
  static uint64_t RowBytes(const ModelConfig& config, const TrainShape& shape);

  // losses: of every loss token, in order: -ln of its probability.
  std::span<const double> Run(const ModelWeights& weights, const LossInput& in, ExecutionContext& exec);

 private:
  const int64_t max_rows_, width_, vocab_size_;
  AlignedBuffer<float> rows_, normed_, d_rows_, d_normed_;  // [chunk, C]
  AlignedBuffer<float> logits_;                             // [chunk, V]
  std::vector<int64_t> row_indices_;                        // rows with a target
  std::vector<int32_t> targets_;                            // their targets
  std::vector<double> losses_;
};

}  // namespace stablelm
