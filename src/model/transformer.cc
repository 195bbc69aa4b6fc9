#include "model/transformer.h"

#include <algorithm>

#include "base/error.h"
#include "model/non_finite.h"
#include "ops/finite.h"
#include "ops/gather_rows.h"
#include "ops/prologue.h"

namespace stablelm {

Transformer::Transformer(std::shared_ptr<const ModelWeights> weights) : weights_(std::move(weights)) {
  STABLELM_CHECK(weights_);
}

Transformer::Rows Transformer::Place(std::span<const BatchSequence> batch, ForwardContext& ctx) const {
  Rows rows;
  ctx.sequences.clear();
  ctx.logit_rows.clear();
  for (const BatchSequence& s : batch) {
    const int64_t n = static_cast<int64_t>(s.tokens.size());
    STABLELM_CHECK(n > 0 && s.cache && s.logits_from >= 0 && s.logits_from <= n);
    STABLELM_CHECK(&s.cache->cache() == &batch[0].cache->cache());
    for (const int32_t id : s.tokens) {
      if (id >= 0 && id < config().vocab_size) continue;
      throw Error({.where = "token ids",
                   .what = "id out of range",
                   .found = std::to_string(id),
                   .expected = "0 to " + std::to_string(config().vocab_size - 1),
                   .hint = "the ids are of another model's tokenizer, or of one with more tokens"});
    }
    const int64_t start = s.cache->length();
    if (start + n > config().max_positions) {
      throw Error({.where = "context",
                   .what = "too many tokens for the model",
                   .found = std::to_string(start + n),
                   .expected = "at most " + std::to_string(config().max_positions),
                   .hint = "shorten the text"});
    }
    ctx.sequences.push_back({.row_begin = rows.all, .rows = n, .start = start, .pages = {}});
    ctx.logit_rows.push_back({.begin = rows.all + s.logits_from, .end = rows.all + n});
    rows.all += n;
    rows.logits += s.NumLogits();
  }
  STABLELM_CHECK(rows.all <= ctx.max_rows && rows.logits <= ctx.max_logit_rows);
  return rows;
}

std::span<const float> Transformer::Forward(std::span<const BatchSequence> batch, ForwardContext& ctx,
                                            const PassHooks& hooks) const {
  if (batch.empty()) return {};
  const Rows rows = Place(batch, ctx);
  try {
    for (size_t i = 0; i < batch.size(); ++i) {
      batch[i].cache->Append(static_cast<int64_t>(batch[i].tokens.size()));
      ctx.sequences[i].pages = batch[i].cache->pages();
    }
    Run(batch, rows, ctx, hooks);
    const size_t hidden = static_cast<size_t>(rows.all * config().hidden_size);
    const size_t logits = static_cast<size_t>(rows.logits * config().vocab_size);
    if (!AllFinite(ctx.x.data(), hidden, ctx.exec) || !AllFinite(ctx.logits.data(), logits, ctx.exec)) {
      ExplainNonFinite(batch, rows, ctx);
    }
    return {ctx.logits.data(), logits};
  } catch (...) {
    for (size_t i = 0; i < batch.size(); ++i) batch[i].cache->Truncate(ctx.sequences[i].start);
    throw;
  }
}

void Transformer::Run(std::span<const BatchSequence> batch, Rows rows, ForwardContext& ctx,
                      const PassHooks& hooks) const {
  const int64_t width = config().hidden_size;
  ForwardObserver* const observer = hooks.observer;
  const auto leave_if_asked = [&] {
    if (hooks.leave && hooks.leave()) throw Cancelled();
  };

  for (size_t i = 0; i < batch.size(); ++i) {
    weights_->Embed(batch[i].tokens, ctx.x.data() + ctx.sequences[i].row_begin * width, ctx.exec);
  }
  if (observer) {
    observer->OnStep(-1, "embed_in", ctx.x.data(), rows.all, width);
    observer->OnHidden(0, ctx.x.data(), rows.all, width);
  }
  KvCache& cache = batch[0].cache->cache();
  for (int64_t i = 0; i < config().n_layers; ++i) {
    leave_if_asked();
    RunBlock(weights_->blocks[static_cast<size_t>(i)],
             {.config = config(),
              .layer = i,
              .rows = rows.all,
              .sequences = ctx.sequences,
              .cache = cache.Layer(i),
              .rotary = rotary(),
              .activations = ctx.LayerActivations(),
              .observer = observer},
             ctx.exec);
    if (!observer) continue;
    observer->OnStep(i, "output", ctx.x.data(), rows.all, width);
    if (i + 1 < config().n_layers) observer->OnHidden(i + 1, ctx.x.data(), rows.all, width);
  }
  leave_if_asked();
  if (observer) {  // the output matrix applies the final norm to the rows that need logits only
    ApplyPrologue({.x = ctx.x.data(), .rows = rows.all, .prologue = weights_->final_norm, .applied = ctx.normed.data()},
                  static_cast<size_t>(width), ctx.exec);
    observer->OnStep(-1, "final_layer_norm", ctx.normed.data(), rows.all, width);
    observer->OnHidden(config().n_layers, ctx.normed.data(), rows.all, width);
  }
  if (rows.logits == 0) return;
  GatherRows(ctx.x.data(), static_cast<size_t>(width), ctx.logit_rows, ctx.wanted.data(), ctx.exec);
  weights_->output.Apply(
      {.x = ctx.wanted.data(), .rows = rows.logits, .prologue = weights_->final_norm, .applied = ctx.wanted.data()},
      ctx.logits.data(), ctx.exec);
  if (observer) observer->OnStep(-1, "embed_out", ctx.logits.data(), rows.logits, config().vocab_size);
}

void Transformer::ExplainNonFinite(std::span<const BatchSequence> batch, Rows rows, ForwardContext& ctx) const {
  NonFiniteFinder finder(config(), [this](const WeightEntry& entry) { return weights_->FirstNonFiniteValue(entry); });
  Run(batch, rows, ctx, {.observer = &finder});  // writes the same keys and values again
  finder.Fail();
}

}  // namespace stablelm
