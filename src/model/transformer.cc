#include "model/transformer.h"

#include <algorithm>

#include "base/error.h"
#include "model/non_finite.h"
#include "ops/embedding.h"
#include "ops/finite.h"
#include "ops/gather_rows.h"
#include "ops/layer_norm.h"

namespace stablelm {

struct Transformer::Placed {
  std::vector<AttentionSequence> sequences;
  std::vector<int64_t> starts;  // cache lengths before the pass
  int64_t rows = 0;
  int64_t logit_rows = 0;
};

Transformer::Transformer(std::shared_ptr<const ModelWeights> weights) : weights_(std::move(weights)) {
  STABLELM_CHECK(weights_);
}

Transformer::Placed Transformer::Place(std::span<const BatchSequence> batch, const ForwardContext& ctx) const {
  Placed placed;
  for (const BatchSequence& s : batch) {
    const int64_t n = static_cast<int64_t>(s.tokens.size());
    STABLELM_CHECK(n > 0 && s.cache && s.logits_from >= 0 && s.logits_from <= n);
    STABLELM_CHECK(&s.cache->cache() == &batch[0].cache->cache());
    for (const int32_t id : s.tokens) {
      if (id >= 0 && id < config().vocab_size) continue;
      throw Error({.where = "token ids",
                   .what = "id out of range",
                   .found = std::to_string(id),
                   .expected = "0 to " + std::to_string(config().vocab_size - 1)});
    }
    const int64_t start = s.cache->length();
    if (start + n > config().max_positions) {
      throw Error({.where = "context",
                   .what = "too many tokens for the model",
                   .found = std::to_string(start + n),
                   .expected = "at most " + std::to_string(config().max_positions),
                   .hint = "shorten the text"});
    }
    placed.sequences.push_back({.row_begin = placed.rows, .rows = n, .start = start, .pages = {}});
    placed.starts.push_back(start);
    placed.rows += n;
    placed.logit_rows += s.NumLogits();
  }
  STABLELM_CHECK(placed.rows <= ctx.max_rows && placed.logit_rows <= ctx.max_logit_rows);
  return placed;
}

std::span<const float> Transformer::Forward(std::span<const BatchSequence> batch, ForwardContext& ctx,
                                            const PassHooks& hooks) const {
  if (batch.empty()) return {};
  Placed placed = Place(batch, ctx);
  try {
    for (size_t i = 0; i < batch.size(); ++i) {
      batch[i].cache->Append(static_cast<int64_t>(batch[i].tokens.size()));
      placed.sequences[i].pages = batch[i].cache->pages();
    }
    Run(batch, placed, ctx, hooks);
    const size_t hidden = static_cast<size_t>(placed.rows * config().hidden_size);
    const size_t logits = static_cast<size_t>(placed.logit_rows * config().vocab_size);
    if (!AllFinite(ctx.x.data(), hidden, ctx.exec) || !AllFinite(ctx.logits.data(), logits, ctx.exec)) {
      ExplainNonFinite(batch, placed, ctx);
    }
    return {ctx.logits.data(), logits};
  } catch (...) {
    for (size_t i = 0; i < batch.size(); ++i) batch[i].cache->Truncate(placed.starts[i]);
    throw;
  }
}

void Transformer::Run(std::span<const BatchSequence> batch, const Placed& placed, ForwardContext& ctx,
                      const PassHooks& hooks) const {
  const int64_t width = config().hidden_size;
  ForwardObserver* const observer = hooks.observer;
  const auto leave_if_asked = [&] {
    if (hooks.leave && hooks.leave()) throw Cancelled();
  };

  for (size_t i = 0; i < batch.size(); ++i) {
    EmbedTokens(weights_->embedding, batch[i].tokens, ctx.x.data() + placed.sequences[i].row_begin * width, ctx.exec);
  }
  if (observer) {
    observer->OnStep(-1, "embed_in", ctx.x.data(), placed.rows, width);
    observer->OnHidden(0, ctx.x.data(), placed.rows, width);
  }
  KvCache& cache = batch[0].cache->cache();
  for (int64_t i = 0; i < config().n_layers; ++i) {
    leave_if_asked();
    RunBlock(weights_->blocks[static_cast<size_t>(i)],
             {.config = config(),
              .layer = i,
              .rows = placed.rows,
              .sequences = placed.sequences,
              .cache = cache.Layer(i),
              .rotary = rotary(),
              .activations = ctx.LayerActivations(),
              .observer = observer},
             ctx.exec);
    if (!observer) continue;
    observer->OnStep(i, "output", ctx.x.data(), placed.rows, width);
    if (i + 1 < config().n_layers) observer->OnHidden(i + 1, ctx.x.data(), placed.rows, width);
  }
  leave_if_asked();
  if (observer) ShowFinalNorm(placed.rows, ctx, *observer);
  if (placed.logit_rows == 0) return;
  std::vector<RowRange> wanted;
  for (size_t i = 0; i < batch.size(); ++i) {
    const AttentionSequence& s = placed.sequences[i];
    wanted.push_back({.begin = s.row_begin + batch[i].logits_from, .end = s.row_begin + s.rows});
  }
  GatherRows(ctx.x.data(), static_cast<size_t>(width), wanted, ctx.wanted.data(), ctx.exec);
  weights_->output.Apply({.x = ctx.wanted.data(),
                          .rows = placed.logit_rows,
                          .prologue = weights_->final_norm,
                          .applied = ctx.wanted.data()},
                         ctx.logits.data(), ctx.exec);
  if (observer) observer->OnStep(-1, "embed_out", ctx.logits.data(), placed.logit_rows, config().vocab_size);
}

// The output projection computes the final norm of the rows that need logits. An observer gets it for all rows.
void Transformer::ShowFinalNorm(int64_t rows, ForwardContext& ctx, ForwardObserver& observer) const {
  const int64_t width = config().hidden_size;
  LayerNorm({.x = ctx.x.data(),
             .rows = static_cast<size_t>(rows),
             .width = static_cast<size_t>(width),
             .norm = weights_->final_norm,
             .y = ctx.normed.data()},
            ctx.exec);
  observer.OnStep(-1, "final_layer_norm", ctx.normed.data(), rows, width);
  observer.OnHidden(config().n_layers, ctx.normed.data(), rows, width);
}

void Transformer::ExplainNonFinite(std::span<const BatchSequence> batch, const Placed& placed,
                                   ForwardContext& ctx) const {
  NonFiniteFinder finder(config(), [this](const WeightEntry& entry) { return weights_->FirstNonFiniteValue(entry); });
  Run(batch, placed, ctx, {.observer = &finder});  // writes the same keys and values again
  finder.Fail();
}

}  // namespace stablelm
