#include "model/forward_context.h"

#include <algorithm>

namespace stablelm {
namespace {

size_t Count(int64_t rows, int64_t width) { return static_cast<size_t>(rows * width); }
size_t MaxInner(const ModelConfig& c) { return static_cast<size_t>(std::max(c.hidden_size, c.intermediate_size)); }
size_t ProductRowsOf(const RunShape& run) { return static_cast<size_t>(std::max(run.max_rows, run.max_logit_rows)); }

}  // namespace

ForwardContext::ForwardContext(const ModelConfig& c, const RunShape& run, ThreadPool& pool)
    : max_rows(run.max_rows),
      max_logit_rows(run.max_logit_rows),
      exec(pool, ProductRowsOf(run), MaxInner(c)),
      x(Count(max_rows, c.hidden_size), "residual stream"),
      normed(Count(max_rows, c.hidden_size), "normed activations"),
      qkv(Count(max_rows, 3 * c.hidden_size), "queries, keys and values"),
      attended(Count(max_rows, c.hidden_size), "attention output"),
      attn_out(Count(max_rows, c.hidden_size), "attention projection"),
      mlp_hidden(Count(max_rows, c.intermediate_size), "MLP hidden layer"),
      mlp_out(Count(max_rows, c.hidden_size), "MLP output"),
      wanted(Count(max_logit_rows, c.hidden_size), "rows for logits"),
      logits(Count(max_logit_rows, c.vocab_size), "logits") {
  sequences.reserve(static_cast<size_t>(max_rows));
  logit_rows.reserve(static_cast<size_t>(max_rows));
}

BlockActivations ForwardContext::LayerActivations() {
  return {.x = x.data(),
          .y = x.data(),
          .middle = x.data(),
          .qkv = qkv.data(),
          .attended = attended.data(),
          .attn_out = attn_out.data(),
          .mlp_hidden = mlp_hidden.data(),
          .mlp_out = mlp_out.data(),
          .normed = normed.data(),
          .activated = mlp_hidden.data()};
}

uint64_t ForwardContext::ActivationBytes(const ModelConfig& c, const RunShape& run) {
  return sizeof(float) *
         (Count(run.max_rows, 8 * c.hidden_size + c.intermediate_size) + Count(run.max_logit_rows, c.hidden_size));
}

uint64_t ForwardContext::LogitBytes(const ModelConfig& c, const RunShape& run) {
  return sizeof(float) * Count(run.max_logit_rows, c.vocab_size);
}

uint64_t ForwardContext::ScratchBytes(const ModelConfig& c, const RunShape& run) {
  return ExecutionContext::Bytes(run.threads, ProductRowsOf(run), MaxInner(c));
}

}  // namespace stablelm
