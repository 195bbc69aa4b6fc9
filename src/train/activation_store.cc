#include "train/activation_store.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "model/kv_cache.h"

namespace stablelm {
namespace {

// Numbers of floats of each buffer.
struct Sizes {
  size_t inputs, qkv, attended, log_sum_exp, mlp_hidden, middle;  // kept
  size_t row, hidden, d_qkv, low_rank, dropped;                   // shared
};

Sizes SizesOf(const ModelConfig& c, const TrainShape& shape) {
  const size_t rows = static_cast<size_t>(shape.max_tokens), layers = static_cast<size_t>(c.n_layers);
  const size_t width = static_cast<size_t>(c.hidden_size), hidden = static_cast<size_t>(c.intermediate_size);
  const size_t all = shape.recompute == Recompute::kLayer ? 1 : layers;
  const size_t mlp = shape.recompute == Recompute::kNone ? layers : 1;
  return {.inputs = (layers + 1) * rows * width,
          .qkv = all * rows * 3 * width,
          .attended = all * rows * width,
          .log_sum_exp = all * rows * static_cast<size_t>(c.n_heads),
          .mlp_hidden = mlp * rows * hidden,
          .middle = c.parallel_residual ? 0 : all * rows * width,
          .row = rows * width,
          .hidden = rows * hidden,
          .d_qkv = rows * 3 * width,
          .low_rank = rows * static_cast<size_t>(shape.adapter_rank),
          .dropped = shape.adapter_dropout ? rows * std::max(width, hidden) : 0};
}

KvLayout PagesLayout(const ModelConfig& c) { return {.n_heads = c.n_heads, .head_dim = c.head_dim()}; }
// Each document begins a page.
size_t NumPages(const TrainShape& shape) {
  return static_cast<size_t>(KvCache::PagesFor(shape.max_tokens) + shape.documents());
}

}  // namespace

ActivationStore::ActivationStore(const ModelConfig& c, const TrainShape& shape)
    : rows_(shape.max_tokens),
      width_(c.hidden_size),
      hidden_(c.intermediate_size),
      n_layers_(c.n_layers),
      n_heads_(c.n_heads),
      recompute_(shape.recompute),
      parallel_(c.parallel_residual),
      kv_layout_(PagesLayout(c)) {
  const Sizes s = SizesOf(c, shape);
  inputs_ = {s.inputs, "inputs of the layers"};
  qkv_ = {s.qkv, "queries, keys and values"};
  attended_ = {s.attended, "attention output"};
  log_sum_exp_ = {s.log_sum_exp, "log-sum-exp of attention"};
  mlp_hidden_ = {s.mlp_hidden, "MLP hidden layers"};
  middle_ = {s.middle, "residual stream between the branches"};
  attn_out_ = {s.row, "attention projection"};
  mlp_out_ = {s.row, "MLP output"};
  normed_ = {s.row, "normed activations"};
  d_streams_ = {2 * s.row, "gradient of the residual stream"};
  d_hidden_ = {s.hidden, "gradient of the MLP's hidden layer"};
  d_qkv_ = {s.d_qkv, "gradient of queries, keys and values"};
  d_attended_ = {s.row, "gradient of the attention output"};
  d_normed_ = {s.row, "gradient of normed activations"};
  low_rank_ = {s.low_rank, "low-rank rows of adapters"};
  dropped_ = {s.dropped, "input of adapters after dropout"};
  pages_ = {PageBytes(c, shape), "keys and values of one layer"};
  page_numbers_.resize(NumPages(shape));
  std::iota(page_numbers_.begin(), page_numbers_.end(), 0);
  sequences_.reserve(static_cast<size_t>(shape.documents()));
}

uint64_t ActivationStore::KeptBytes(const ModelConfig& c, const TrainShape& shape) {
  const Sizes s = SizesOf(c, shape);
  return sizeof(float) * (s.inputs + s.qkv + s.attended + s.log_sum_exp + s.mlp_hidden + s.middle);
}

uint64_t ActivationStore::SharedBytes(const ModelConfig& c, const TrainShape& shape) {
  const Sizes s = SizesOf(c, shape);
  return sizeof(float) * (7 * s.row + s.hidden + s.d_qkv + s.low_rank + s.dropped);
}

uint64_t ActivationStore::PageBytes(const ModelConfig& c, const TrainShape& shape) {
  return NumPages(shape) * PagesLayout(c).PageBytes();
}

BlockActivations ActivationStore::Layer(int64_t layer) {
  STABLELM_CHECK(layer >= 0 && layer < n_layers_);
  const size_t kept = recompute_ == Recompute::kLayer ? 0 : static_cast<size_t>(layer);
  const size_t kept_mlp = recompute_ == Recompute::kNone ? static_cast<size_t>(layer) : 0;
  return {.x = Input(layer),
          .y = Input(layer + 1),
          .middle = parallel_ ? nullptr : middle_.data() + kept * Rows(width_),
          .qkv = qkv_.data() + kept * Rows(3 * width_),
          .attended = attended_.data() + kept * Rows(width_),
          .log_sum_exp = log_sum_exp_.data() + kept * Rows(n_heads_),
          .attn_out = attn_out_.data(),
          .mlp_hidden = mlp_hidden_.data() + kept_mlp * Rows(hidden_),
          .mlp_out = mlp_out_.data(),
          .normed = normed_.data(),
          .activated = d_hidden_.data()};
}

KvLayerPages ActivationStore::pages() {
  return {.pages = pages_.data(), .stride = kv_layout_.PageBytes(), .layout = kv_layout_};
}

std::span<const int32_t> ActivationStore::PagesFrom(int64_t first, int64_t n) const {
  return std::span(page_numbers_).subspan(static_cast<size_t>(first), static_cast<size_t>(n));
}

}  // namespace stablelm
