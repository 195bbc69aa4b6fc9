#include "train/gradient_pass.h"

#include <algorithm>

#include "base/error.h"
#include "model/kv_cache.h"
#include "ops/embedding_gradient.h"
#include "ops/layer_norm_backward.h"
#include "ops/matmul_backward.h"
#include "train/block_backward.h"

namespace stablelm {
namespace {

// Floats that products and norms prepare their rows in.
size_t PreparedFloats(const ModelConfig& c, const TrainShape& shape) {
  const int64_t rows = shape.max_tokens, loss_rows = std::min(kLossRows, rows);
  const int64_t width = c.hidden_size, hidden = c.intermediate_size;
  size_t floats =
      ExecutionContext::PreparedFloats(static_cast<size_t>(rows), static_cast<size_t>(std::max(width, hidden)));
  for (const auto [m, n, k] :
       {std::array{rows, 3 * width, width}, std::array{rows, width, width}, std::array{rows, hidden, width},
        std::array{rows, width, hidden}, std::array{loss_rows, c.vocab_size, width}}) {
    floats = std::max(floats, MatMulBackwardFloats(m, n, k));
  }
  return std::max(floats, LayerNormBackwardFloats(static_cast<size_t>(rows), static_cast<size_t>(width)));
}

// The kernels turn a few rows of the widest product in a worker's scratch.
constexpr int64_t kMaxWidth = static_cast<int64_t>(ExecutionContext::kWorkerFloats) / 3;

TrainShape Checked(const Parameters& parameters, TrainShape shape) {
  const ModelConfig& config = parameters.config();
  const std::optional<LoraOptions>& lora = parameters.table().lora();
  STABLELM_CHECK(shape.max_tokens > 0 && shape.precision == parameters.precision());
  STABLELM_CHECK(shape.adapter_rank == (lora ? lora->rank : 0) && shape.adapter_dropout == (lora && lora->dropout > 0));
  const auto require = [](const char* name, int64_t size, int64_t most) {
    if (size <= most) return;
    throw Error({.where = std::string("config.json: ") + name,
                 .what = "too large for training",
                 .found = std::to_string(size),
                 .expected = "at most " + std::to_string(most),
                 .hint = "a model of this size runs, but is not trained here: train a smaller one"});
  };
  require("intermediate_size", config.intermediate_size, kMaxWidth);
  require("hidden_size", config.hidden_size, kMaxWidth);
  // Rows of the logits' gradient are rounded whole.
  if (shape.precision == Precision::kF16) require("vocab_size", config.vocab_size, 3 * kMaxWidth);
  return shape;
}

}  // namespace

GradientPass::GradientPass(Parameters& parameters, const TrainShape& shape, ThreadPool& pool)
    : parameters_(parameters),
      shape_(Checked(parameters, shape)),
      config_(parameters.config()),
      exec_(pool, PreparedFloats(config_, shape)),
      store_(config_, shape),
      loss_(config_, shape),
      ids_order_(static_cast<size_t>(shape.max_tokens)) {
  ids_.reserve(static_cast<size_t>(shape.max_tokens));
}

uint64_t GradientPass::ScratchBytes(const ModelConfig& config, const TrainShape& shape) {
  return ExecutionContext::Bytes(shape.threads, PreparedFloats(config, shape)) +
         2 * sizeof(int32_t) * static_cast<uint64_t>(shape.max_tokens);
}

void GradientPass::Check(TrainBatch batch) const { CheckBatch(config_, batch, shape_.max_tokens, shape_.documents()); }

void GradientPass::Place(TrainBatch batch) {
  Check(batch);
  std::vector<AttentionSequence>& sequences = store_.sequences();
  sequences.clear();
  ids_.clear();
  rows_ = 0;
  int64_t page = 0;
  for (const TrainDocument& document : batch) {
    const int64_t n = static_cast<int64_t>(document.tokens.size()), pages = KvCache::PagesFor(n);
    sequences.push_back({.row_begin = rows_, .rows = n, .start = 0, .pages = store_.PagesFrom(page, pages)});
    ids_.insert(ids_.end(), document.tokens.begin(), document.tokens.end());
    rows_ += n;
    page += pages;
  }
}

BlockInput GradientPass::LayerInput(int64_t layer, ForwardObserver* observer) {
  return {.config = config_,
          .layer = layer,
          .rows = rows_,
          .sequences = store_.sequences(),
          .cache = store_.pages(),
          .rotary = parameters_.weights()->rotary,
          .activations = store_.Layer(layer),
          .observer = observer,
          .dropout = dropping_ ? &dropout_ : nullptr};
}

void GradientPass::Forward(const GradientPassInput& in, bool train) {
  const StepTimer::Span span(in.timer, StepPart::kForward);
  const PassHooks& hooks = in.hooks;
  Place(in.batch);
  dropping_ = train && shape_.adapter_dropout;
  if (dropping_) {
    const LoraOptions& lora = *parameters_.table().lora();
    dropout_ = {.rate = lora.dropout,
                .seed = lora.seed,
                .step = in.step,
                .first_row = in.first_token,
                .buffer = store_.dropped()};
  }
  const ModelWeights& weights = *parameters_.weights();
  weights.Embed(ids_, store_.Input(0), exec_);
  if (hooks.observer) hooks.observer->OnStep(-1, "embed_in", store_.Input(0), rows_, config_.hidden_size);
  for (int64_t i = 0; i < config_.n_layers; ++i) {
    if (hooks.leave && hooks.leave()) throw Cancelled();
    RunBlock(weights.blocks[static_cast<size_t>(i)], LayerInput(i, hooks.observer), exec_);
    if (hooks.observer) hooks.observer->OnStep(i, "output", store_.Input(i + 1), rows_, config_.hidden_size);
  }
  if (hooks.leave && hooks.leave()) throw Cancelled();
}

void GradientPass::Recompute(int64_t layer, StepTimer* timer) {
  const StepTimer::Span span(timer, StepPart::kForward);
  const BlockWeights& w = parameters_.weights()->blocks[static_cast<size_t>(layer)];
  if (shape_.recompute == stablelm::Recompute::kLayer) return RunBlock(w, LayerInput(layer, nullptr), exec_);
  if (shape_.recompute == stablelm::Recompute::kNone) return;
  const BlockActivations a = store_.Layer(layer);
  const float* const mlp_in = config_.parallel_residual ? a.x : a.middle;
  w.mlp_up.Apply({.x = mlp_in, .rows = rows_, .prologue = w.mlp_norm, .applied = a.normed}, a.mlp_hidden, exec_,
                 dropping_ ? &dropout_ : nullptr);
}

BlockGradients GradientPass::GradientsOf(int32_t layer) {
  using K = WeightKind;
  const auto of = [&](K kind) { return parameters_.GradientOf(kind, layer); };
  const auto linear = [&](K weight, K bias) {
    return LinearGradients{.weight = of(weight),
                           .bias = of(bias),
                           .lora_a = parameters_.GradientOf(weight, layer, AdapterPart::kA),
                           .lora_b = parameters_.GradientOf(weight, layer, AdapterPart::kB)};
  };
  return {.attn_norm = {of(K::kAttnNormWeight), of(K::kAttnNormBias)},
          .qkv = linear(K::kQkvWeight, K::kQkvBias),
          .attn_out = linear(K::kAttnOutWeight, K::kAttnOutBias),
          .mlp_norm = {of(K::kMlpNormWeight), of(K::kMlpNormBias)},
          .mlp_up = linear(K::kMlpUpWeight, K::kMlpUpBias),
          .mlp_down = linear(K::kMlpDownWeight, K::kMlpDownBias)};
}

void GradientPass::Backward(const GradientPassInput& in) {
  const ModelWeights& weights = *parameters_.weights();
  const ParameterTable& table = parameters_.table();
  // The gradient of the residual stream goes back and forth between two buffers.
  int64_t from = 1, to = 0;
  for (int64_t i = config_.n_layers - 1; i >= std::max<int64_t>(0, table.lowest_trained_layer()); --i) {
    if (in.hooks.leave && in.hooks.leave()) throw Cancelled();
    Recompute(i, in.timer);
    std::swap(from, to);
    BlockBackward(weights.blocks[static_cast<size_t>(i)],
                  {.config = config_,
                   .layer = i,
                   .rows = rows_,
                   .sequences = store_.sequences(),
                   .rotary = weights.rotary,
                   .activations = store_.Layer(i),
                   .d_y = store_.d_stream(from),
                   .d_x = store_.d_stream(to),
                   .propagates = table.lowest_trained_layer() < i,
                   .dropout = dropping_ ? &dropout_ : nullptr,
                   .buffers = {.d_hidden = store_.d_hidden(),
                               .d_qkv = store_.d_qkv(),
                               .d_attended = store_.d_attended(),
                               .d_normed = store_.d_normed(),
                               .low_rank = store_.low_rank()},
                   .gradients = GradientsOf(static_cast<int32_t>(i)),
                   .add = in.add,
                   .precision = shape_.precision,
                   .observer = in.gradient_observer,
                   .timer = in.timer},
                  exec_);
  }
  const Parameter& embedding = table.Find(WeightKind::kEmbedding, -1);
  if (!embedding.trained) return;
  float* const d_table = parameters_.GradientOf(WeightKind::kEmbedding, -1);
  if (!in.add && !config_.tie_word_embeddings) {  // tied: the output matrix has written it
    exec_.pool().ForRanges(embedding.size, 4096,
                           [&](size_t begin, size_t end) { std::fill(d_table + begin, d_table + end, 0.0f); });
  }
  EmbeddingGradient({.ids = ids_,
                     .dy = store_.d_stream(to),
                     .width = config_.hidden_size,
                     .d_table = d_table,
                     .packed = embedding.packed,
                     .order = std::span(ids_order_).first(ids_.size())},
                    exec_);
}

std::span<const double> GradientPass::Run(const GradientPassInput& in) {
  if (CountTargets(in.batch) == 0) {
    Check(in.batch);
    if (!in.add) std::ranges::fill(parameters_.gradients(), 0.0f);
    return {};
  }
  Forward(in, true);
  const std::span<const double> losses = Loss(in);
  Backward(in);
  return losses;
}

std::span<const double> GradientPass::Loss(const GradientPassInput& in) {
  const StepTimer::Span span(in.timer, StepPart::kLoss);
  const bool tied = config_.tie_word_embeddings;
  return loss_.Run(*parameters_.weights(),
                   {.batch = in.batch,
                    .x = store_.Output(),
                    .d_x = store_.d_stream(0),
                    .scale = in.scale,
                    .final_norm = {parameters_.GradientOf(WeightKind::kFinalNormWeight, -1),
                                   parameters_.GradientOf(WeightKind::kFinalNormBias, -1)},
                    .output = parameters_.GradientOf(tied ? WeightKind::kEmbedding : WeightKind::kOutput, -1),
                    .add = in.add,
                    .precision = shape_.precision,
                    .observer = in.gradient_observer},
                   exec_);
}

std::span<const double> GradientPass::Losses(TrainBatch batch, const PassHooks& hooks) {
  if (CountTargets(batch) == 0) {
    Check(batch);
    return {};
  }
  Forward({.batch = batch, .hooks = hooks}, false);
  LossInput in;
  in.batch = batch;
  in.x = store_.Output();
  return loss_.Run(*parameters_.weights(), in, exec_);
}

std::vector<GradientPass::Range> GradientPass::FinalOrder(const ParameterTable& table, const ModelConfig& config) {
  std::vector<Range> order;
  // Entries of a layer are adjacent in the table.
  const auto add = [&](auto&& wanted) {
    Range range = {.begin = table.trained_size(), .end = 0};
    for (const Parameter& entry : table.entries()) {
      if (!entry.trained || !wanted(entry.weight)) continue;
      range.begin = std::min(range.begin, entry.offset);
      range.end = std::max(range.end, entry.offset + entry.size);
    }
    if (range.begin < range.end) order.push_back(range);
  };
  const auto is_embedding = [](const WeightEntry& w) { return w.kind == WeightKind::kEmbedding; };
  add([&](const WeightEntry& w) { return w.layer < 0 && !is_embedding(w); });
  for (int64_t i = config.n_layers - 1; i >= 0; --i) add([&](const WeightEntry& w) { return w.layer == i; });
  add(is_embedding);
  return order;
}

}  // namespace stablelm
