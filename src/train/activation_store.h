// The activations that a forward pass keeps for the backward pass, and the buffers that both share.
//
// Norms and activations are never kept: the gradient of a weight applies them again as it reads its rows, as the
// forward product did. A layer keeps its input, the queries, keys and values, the output of attention, the MLP's hidden
// values before the activation and the log-sum-exp of the scores: 9 C numbers for each row (10 C in the sequential
// form, for the residual stream between the two branches), and one for each row and head. Adapters keep nothing: their
// low-rank rows z = A x are computed again, for r / (2 out) of the cost of the product beside them, and dropout is a
// function of its key.
#pragma once

#include <cstdint>
#include <vector>

#include "base/aligned_buffer.h"
#include "checkpoint/describe/config.h"
#include "model/block.h"
#include "ops/attention.h"
#include "train/train_shape.h"

namespace stablelm {

// One pass at a time uses it.
class ActivationStore {
 public:
  // Throws Error when the memory is not there.
  ActivationStore(const ModelConfig& config, const TrainShape& shape);
  static uint64_t KeptBytes(const ModelConfig& config, const TrainShape& shape);
  static uint64_t SharedBytes(const ModelConfig& config, const TrainShape& shape);
  static uint64_t PageBytes(const ModelConfig& config, const TrainShape& shape);

  // The buffers of a layer: kept ones where the recompute policy keeps them, else shared by all layers. Its input is
  // the output of the layer below.
  BlockActivations Layer(int64_t layer);
  float* Output() { return Input(n_layers_); }  // of the last layer, [T, C]
  float* Input(int64_t layer) { return inputs_.data() + static_cast<size_t>(layer) * Rows(width_); }

  // Sequences of the batch with their pages; sets the capacity aside once.
  std::vector<AttentionSequence>& sequences() { return sequences_; }
  // One layer's keys and values; all layers use the same pages.
  KvLayerPages pages();
  // Pages [first, ...) in order.
  std::span<const int32_t> PagesFrom(int64_t first, int64_t n) const;

  // Buffers of the backward pass.
  float* d_stream(int64_t which) { return d_streams_.data() + static_cast<size_t>(which) * Rows(width_); }  // 0 or 1
  float* d_hidden() { return d_hidden_.data(); }                                                            // [T, F]
  float* d_qkv() { return d_qkv_.data(); }                                                                  // [T, 3C]
  float* d_attended() { return d_attended_.data(); }                                                        // [T, C]
  float* d_normed() { return d_normed_.data(); }                                                            // [T, C]
  float* low_rank() { return low_rank_.data(); }  // [T, adapter_rank], null without adapters
  float* dropped() { return dropped_.data(); }    // [T, max(C, F)], null without dropout

 private:
  size_t Rows(int64_t width) const { return static_cast<size_t>(rows_ * width); }

  const int64_t rows_, width_, hidden_, n_layers_, n_heads_;
  const Recompute recompute_;
  const bool parallel_;
  const KvLayout kv_layout_;
  AlignedBuffer<float> inputs_;                                              // [L + 1, T, C]
  AlignedBuffer<float> qkv_, attended_, log_sum_exp_, mlp_hidden_, middle_;  // of each layer, or one
  AlignedBuffer<float> attn_out_, mlp_out_, normed_;
  AlignedBuffer<float> d_streams_, d_hidden_, d_qkv_, d_attended_, d_normed_;
  AlignedBuffer<float> low_rank_, dropped_;  // of adapters
  AlignedBuffer<std::byte> pages_;
  std::vector<int32_t> page_numbers_;
  std::vector<AttentionSequence> sequences_;
};

}  // namespace stablelm
