#include "ops/attention_backward.h"

#include "base/error.h"
#include "ops/cpu/attention_backward_cpu.h"

namespace stablelm {

void AttentionBackward(const AttentionBackwardInput& in, ExecutionContext& exec) {
  STABLELM_CHECK(in.qkv_layout.part_stride > 0 && in.qkv_layout.head_stride > 0 && in.head_dim <= kMaxHeadDim);
  const size_t heads = static_cast<size_t>(in.n_heads);
  exec.pool().ForEach(in.sequences.size() * heads, [&](size_t task, size_t worker) {
    AttentionBackwardHead(in, in.sequences[task / heads], static_cast<int64_t>(task % heads),
                          exec.worker_scratch(worker));
  });
}

}  // namespace stablelm
