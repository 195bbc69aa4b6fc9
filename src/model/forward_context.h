// The buffers of a forward pass. They are allocated once, so that the forward pass allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "checkpoint/describe/config.h"
#include "model/block.h"
#include "model/run_shape.h"
#include "ops/attention.h"
#include "ops/execution_context.h"
#include "ops/gather_rows.h"

namespace stablelm {

// Serves one forward pass at a time. The pool is not owned, must outlive the context, and has at most run.threads
// threads.
class ForwardContext {
 public:
  ForwardContext(const ModelConfig& config, const RunShape& run, ThreadPool& pool);

  static uint64_t ActivationBytes(const ModelConfig& config, const RunShape& run);
  static uint64_t LogitBytes(const ModelConfig& config, const RunShape& run);
  static uint64_t ScratchBytes(const ModelConfig& config, const RunShape& run);

  const int64_t max_rows;
  const int64_t max_logit_rows;
  ExecutionContext exec;

  // T = rows of the batch, at most max_rows; W = rows that need logits, at most max_logit_rows.
  AlignedBuffer<float> x;           // [T, C]     residual stream
  AlignedBuffer<float> normed;      // [T, C]     output of a layer norm
  AlignedBuffer<float> qkv;         // [T, 3C]    in the layout of the weights
  AlignedBuffer<float> attended;    // [T, C]     heads side by side
  AlignedBuffer<float> attn_out;    // [T, C]
  AlignedBuffer<float> mlp_hidden;  // [T, F]
  AlignedBuffer<float> mlp_out;     // [T, C]
  AlignedBuffer<float> wanted;      // [W, C]     rows that need logits
  AlignedBuffer<float> logits;      // [W, V]

  std::vector<AttentionSequence> sequences;  // of the batch; room for max_rows
  std::vector<RowRange> logit_rows;          // of each sequence; room for max_rows

  // One set of buffers for all layers: each layer updates x in place, and the activation overwrites its input.
  BlockActivations LayerActivations();
};

}  // namespace stablelm
