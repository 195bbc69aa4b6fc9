// CPU kernel behind AttentionBackward, per SIMD target. Internal to ops: callers use ops/attention_backward.h.
#pragma once

#include "ops/attention_backward.h"

namespace stablelm {

// The gradients of one head of `document`. `scratch` has ExecutionContext::kWorkerFloats floats, 64-byte aligned.
void AttentionBackwardHead(const AttentionBackwardInput& in, const AttentionSequence& document, int64_t head,
                           float* scratch);

}  // namespace stablelm
