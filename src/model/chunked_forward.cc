#include "model/chunked_forward.h"

#include <algorithm>

namespace stablelm {

void ForwardInChunks(const Transformer& model, std::span<const int32_t> tokens, KvSequence& cache, ForwardContext& ctx,
                     const ChunkedForwardOptions& options, const LogitsSink& sink) {
  const int64_t total = static_cast<int64_t>(tokens.size());
  int64_t done = 0;
  while (done < total) {
    int64_t n = std::min(ctx.max_rows, total - done);
    // The logits of a chunk must fit max_logit_rows.
    n = std::min(n, std::max(int64_t{1}, std::max(done, options.logits_from) + ctx.max_logit_rows - done));
    const int64_t from = std::clamp(options.logits_from - done, int64_t{0}, n);
    const BatchSequence sequence = {.tokens = tokens.subspan(static_cast<size_t>(done), static_cast<size_t>(n)),
                                    .cache = &cache,
                                    .logits_from = from};
    const std::span<const float> logits = model.Forward({&sequence, 1}, ctx, options.hooks);
    if (from < n) sink(done + from, n - from, logits);
    done += n;
  }
}

}  // namespace stablelm
