// The sizes of a run, from which the forward context, the cache and the memory plan are made.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace stablelm {

struct RunShape {
  int64_t context = 0;          // tokens per sequence, at most the model's
  int64_t sequences = 1;        // sequences in the cache at the same time
  int64_t shared = 0;           // tokens of the prefix that all sequences share: its whole pages are stored once
  DType kv_type = DType::kF32;  // kF32, kF16 or kI8
  int64_t max_rows = 256;       // tokens per forward pass: longer prompts are computed in chunks of this size
  int64_t max_logit_rows = 1;   // rows of one pass that need logits
  size_t threads = 1;
};

// Number of cache pages that the run needs.
int64_t CachePages(const RunShape& run);

}  // namespace stablelm
