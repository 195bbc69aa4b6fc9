#include "model/transformer.h"

#include <algorithm>

#include "base/error.h"
#include "base/progress.h"
#include "model/non_finite.h"
#include "ops/convert.h"
#include "ops/convert_values.h"
#include "ops/layer_norm.h"

namespace stablelm {

struct Transformer::Placed {
  std::vector<AttentionSequence> sequences;
  std::vector<int64_t> starts;  // cache lengths before the pass
  int64_t rows = 0;
  int64_t logit_rows = 0;
};

Transformer Transformer::Load(std::shared_ptr<const ModelFolder> folder, const LoadOptions& options,
                              std::optional<Activation> activation) {
  LoadOptions rest = options;
  rest.linears_as_stored = true;
  return Transformer(LoadedWeights::Load(std::move(folder), rest), options, activation);
}

Transformer::Transformer(LoadedWeights weights, const LoadOptions& options, std::optional<Activation> activation)
    : weights_(std::move(weights)),
      config_(weights_.config()),
      rotary_(config_.rotary_dims, config_.rotary_base, config_.max_positions) {
  if (activation) config_.activation = *activation;
  if (config_.head_dim() > kMaxHeadDim) {
    throw Error({.where = "config.json: hidden_size / num_attention_heads",
                 .what = "head size too large",
                 .found = std::to_string(config_.head_dim()),
                 .expected = "at most " + std::to_string(kMaxHeadDim)});
  }
  const auto vector = [&](WeightKind kind, int32_t layer) {
    return reinterpret_cast<const float*>(weights_.Get(kind, layer).data);  // always aligned fp32
  };
  const auto norm = [&](WeightKind weight, WeightKind bias, int32_t layer) {
    return LayerNormWeights{vector(weight, layer), vector(bias, layer), config_.layer_norm_eps};
  };
  using K = WeightKind;
  const std::vector<WeightEntry> table = WeightTable(config_);
  uint64_t work = 0;
  for (const WeightEntry& entry : table) {
    if (entry.IsMatrix() && entry.kind != K::kEmbedding) work += weights_.BytesOfTensor(entry.kind, entry.layer);
  }
  Progress progress(options.types.empty() ? "Loading weights" : "Quantizing weights", work, Progress::Unit::kBytes,
                    options.show_progress);
  const auto packed = [&](WeightKind kind, int32_t layer, const float* bias) {
    const auto entry =
        std::ranges::find_if(table, [&](const WeightEntry& e) { return e.kind == kind && e.layer == layer; });
    const bool tied = entry == table.end();  // the output matrix is the embedding, which has its type already
    weights_.Fetch(kind, layer, options);
    const TensorView stored = weights_.Get(kind, layer);
    const bool own_types = !options.types.empty() && !tied;
    const PackSource source = {.stored = stored,
                               .type = own_types ? options.types[static_cast<size_t>(entry - table.begin())]
                                                 : options.dtype.value_or(stored.dtype),
                               .compute = options.compute,
                               .name = tied ? "tied output" : entry->name,
                               .check_values = options.check_values || own_types,
                               .done = [&](size_t begin, size_t bytes) {
                                 weights_.Release(kind, layer, begin, bytes);
                                 progress.Add(bytes);
                               }};
    Linear linear(source, bias, options.pool);
    if (stored.data != weights_.Get(K::kEmbedding).data) weights_.Drop(kind, layer);
    return linear;
  };
  const auto linear = [&](WeightKind weight, WeightKind bias, int32_t layer) {
    return packed(weight, layer, vector(bias, layer));
  };
  const QkvLayout qkv_layout = weights_.qkv_order() == QkvOrder::kPerHead
                                   ? QkvLayout::PerHead(config_.head_dim())
                                   : QkvLayout::Stacked(config_.n_heads, config_.head_dim());
  for (int32_t i = 0; i < config_.n_layers; ++i) {
    blocks_.push_back({.attn_norm = norm(K::kAttnNormWeight, K::kAttnNormBias, i),
                       .qkv = linear(K::kQkvWeight, K::kQkvBias, i),
                       .qkv_layout = qkv_layout,
                       .attn_out = linear(K::kAttnOutWeight, K::kAttnOutBias, i),
                       .mlp_norm = norm(K::kMlpNormWeight, K::kMlpNormBias, i),
                       .mlp_up = linear(K::kMlpUpWeight, K::kMlpUpBias, i),
                       .mlp_down = linear(K::kMlpDownWeight, K::kMlpDownBias, i)});
  }
  embedding_ = weights_.Get(K::kEmbedding);
  final_norm_ = norm(K::kFinalNormWeight, K::kFinalNormBias, -1);
  output_ = packed(K::kOutput, -1, nullptr);
  progress.Finish();
}

std::map<DType, uint64_t> Transformer::MatrixBytes() const {
  std::map<DType, uint64_t> bytes;
  const auto add = [&](const Linear& linear) {
    const PackedMatrix& w = linear.weight();
    bytes[w.type()] += w.panels() * w.panel_bytes();
  };
  for (const BlockWeights& block : blocks_) {
    for (const Linear* linear : {&block.qkv, &block.attn_out, &block.mlp_up, &block.mlp_down}) add(*linear);
  }
  add(output_);
  return bytes;
}

Transformer::Placed Transformer::Place(std::span<const BatchSequence> batch, const ForwardContext& ctx) const {
  Placed placed;
  for (const BatchSequence& s : batch) {
    const int64_t n = static_cast<int64_t>(s.tokens.size());
    STABLELM_CHECK(n > 0 && s.cache && s.logits_from >= 0 && s.logits_from <= n);
    STABLELM_CHECK(&s.cache->cache() == &batch[0].cache->cache());
    for (const int32_t id : s.tokens) {
      if (id >= 0 && id < config_.vocab_size) continue;
      throw Error({.where = "token ids",
                   .what = "id out of range",
                   .found = std::to_string(id),
                   .expected = "0 to " + std::to_string(config_.vocab_size - 1)});
    }
    const int64_t start = s.cache->length();
    if (start + n > config_.max_positions) {
      throw Error({.where = "context",
                   .what = "too many tokens for the model",
                   .found = std::to_string(start + n),
                   .expected = "at most " + std::to_string(config_.max_positions),
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
                                            ForwardObserver* observer) const {
  if (batch.empty()) return {};
  Placed placed = Place(batch, ctx);
  try {
    for (size_t i = 0; i < batch.size(); ++i) {
      batch[i].cache->Append(static_cast<int64_t>(batch[i].tokens.size()));
      placed.sequences[i].pages = batch[i].cache->pages();
    }
    Run(batch, placed, ctx, observer);
    const size_t hidden = static_cast<size_t>(placed.rows * config_.hidden_size);
    const size_t logits = static_cast<size_t>(placed.logit_rows * config_.vocab_size);
    if (FirstNonFinite(ctx.x.data(), hidden) < hidden || FirstNonFinite(ctx.logits.data(), logits) < logits) {
      ExplainNonFinite(batch, placed, ctx);
    }
    return {ctx.logits.data(), logits};
  } catch (...) {
    for (size_t i = 0; i < batch.size(); ++i) batch[i].cache->Truncate(placed.starts[i]);
    throw;
  }
}

void Transformer::Run(std::span<const BatchSequence> batch, const Placed& placed, ForwardContext& ctx,
                      ForwardObserver* observer) const {
  const int64_t width = config_.hidden_size;
  const size_t row_bytes = BytesOf(embedding_.dtype, width);
  float* row = ctx.x.data();
  for (const BatchSequence& s : batch) {
    for (const int32_t id : s.tokens) {
      ConvertValues(embedding_.data + static_cast<size_t>(id) * row_bytes, embedding_.dtype,
                    reinterpret_cast<std::byte*>(row), DType::kF32, static_cast<size_t>(width));
      row += width;
    }
  }
  if (observer) {
    observer->OnStep(-1, "embed_in", ctx.x.data(), placed.rows, width);
    observer->OnHidden(0, ctx.x.data(), placed.rows, width);
  }
  for (int64_t i = 0; i < config_.n_layers; ++i) {
    RunBlock(blocks_[static_cast<size_t>(i)],
             {.config = config_,
              .layer = i,
              .rows = placed.rows,
              .sequences = placed.sequences,
              .cache = batch[0].cache->cache(),
              .rotary = rotary_,
              .observer = observer},
             ctx);
    if (observer && i + 1 < config_.n_layers) observer->OnHidden(i + 1, ctx.x.data(), placed.rows, width);
  }

  if (observer) {
    LayerNorm({.x = ctx.x.data(),
               .rows = static_cast<size_t>(placed.rows),
               .width = static_cast<size_t>(width),
               .norm = final_norm_,
               .y = ctx.normed.data()},
              ctx.pool);
    observer->OnStep(-1, "final_layer_norm", ctx.normed.data(), placed.rows, width);
    observer->OnHidden(config_.n_layers, ctx.normed.data(), placed.rows, width);
  }
  if (placed.logit_rows == 0) return;
  float* to = ctx.wanted.data();
  for (size_t i = 0; i < batch.size(); ++i) {
    const int64_t n = batch[i].NumLogits();
    std::copy_n(ctx.x.data() + (placed.sequences[i].row_begin + batch[i].logits_from) * width, n * width, to);
    to += n * width;
  }
  output_.ApplyAfter(final_norm_, ctx.wanted.data(), ctx.wanted.data(), placed.logit_rows, ctx.logits.data(), ctx.pool,
                     ctx.workspace);
  if (observer) observer->OnStep(-1, "embed_out", ctx.logits.data(), placed.logit_rows, config_.vocab_size);
}

void Transformer::ExplainNonFinite(std::span<const BatchSequence> batch, const Placed& placed,
                                   ForwardContext& ctx) const {
  NonFiniteFinder finder(config_, [this](const WeightEntry& entry) { return FirstNonFiniteWeight(entry); });
  Run(batch, placed, ctx, &finder);  // writes the same keys and values once more
  finder.Fail();
}

std::optional<size_t> Transformer::FirstNonFiniteWeight(const WeightEntry& entry) const {
  const auto linear = [&]() -> const Linear* {
    if (entry.kind == WeightKind::kOutput) return &output_;
    if (entry.layer < 0) return nullptr;
    const BlockWeights& block = blocks_[static_cast<size_t>(entry.layer)];
    switch (entry.kind) {
      case WeightKind::kQkvWeight:
        return &block.qkv;
      case WeightKind::kAttnOutWeight:
        return &block.attn_out;
      case WeightKind::kMlpUpWeight:
        return &block.mlp_up;
      case WeightKind::kMlpDownWeight:
        return &block.mlp_down;
      default:
        return nullptr;
    }
  }();
  if (!linear) {
    const TensorView view = weights_.Get(entry.kind, entry.layer);
    const size_t n = static_cast<size_t>(view.NumElements());
    const size_t bad = FirstNonFiniteValue(view.data, view.dtype, n);
    return bad < n ? std::optional(bad) : std::nullopt;
  }
  const PackedMatrix& weight = linear->weight();
  std::vector<float> row(weight.columns());
  for (size_t n = 0; n < weight.rows(); ++n) {
    weight.UnpackRow(n, row.data());
    const size_t bad = FirstNonFinite(row.data(), row.size());
    if (bad < row.size()) return n * row.size() + bad;
  }
  return std::nullopt;
}

}  // namespace stablelm
