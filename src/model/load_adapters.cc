#include "model/load_adapters.h"

#include <functional>
#include <map>
#include <utility>

#include "base/error.h"
#include "checkpoint/convert_rows.h"
#include "checkpoint/rewrite/tensor_copy.h"

namespace stablelm {
namespace {

QkvOrder QkvOrderOf(const ModelWeights& weights) {
  return weights.blocks[0].qkv_layout.part_stride == weights.config.head_dim() ? QkvOrder::kPerHead
                                                                               : QkvOrder::kStacked;
}

PackedMatrix Pack(const WeightFile& file, const StoredTensor& tensor, std::function<int64_t(int64_t)> row_of) {
  const StoredRows stored(file, tensor);
  const RowSource& source = stored.source();
  PackedMatrix packed(DType::kF32, source.rows, source.width, tensor.name.c_str());
  const size_t panel_bytes = kPanelRows * packed.row_bytes();
  ConvertRows(source,
              {.type = DType::kF32,
               .non_finite = NonFinite::kRefuse,
               .row_of = std::move(row_of),
               .group = static_cast<int64_t>(kPanelRows)},
              [&](int64_t first, std::span<const std::byte> rows) {
                for (size_t begin = 0; begin < rows.size(); begin += panel_bytes) {
                  packed.Pack(static_cast<size_t>(first) / kPanelRows + begin / panel_bytes, rows.data() + begin);
                }
              });
  return packed;
}

}  // namespace

ModelWeights AdaptedViews(const std::shared_ptr<const ModelWeights>& base,
                          FunctionRef<std::vector<Adapter>(WeightKind kind, int32_t layer)> adapters_of) {
  const ModelConfig& config = base->config;
  ModelWeights views = {.config = config,
                        .embedding = base->embedding,
                        .blocks = {},
                        .final_norm = base->final_norm,
                        .output = base->output.WithAdapters({}),
                        .rotary = RotaryTable(config.rotary_dims, config.rotary_base, config.max_positions),
                        .storage = base};
  for (int32_t i = 0; i < config.n_layers; ++i) {
    const BlockWeights& block = base->blocks[static_cast<size_t>(i)];
    const auto adapted = [&](const Linear& of_base, WeightKind kind) {
      std::vector<Adapter> adapters = adapters_of(kind, i);
      for (const Adapter& adapter : adapters) {
        STABLELM_CHECK(static_cast<int64_t>(adapter.a.columns()) == of_base.columns() &&
                       static_cast<int64_t>(adapter.b.rows()) == of_base.rows());
      }
      return of_base.WithAdapters(std::move(adapters));
    };
    views.blocks.push_back({.attn_norm = block.attn_norm,
                            .qkv = adapted(block.qkv, WeightKind::kQkvWeight),
                            .qkv_layout = block.qkv_layout,
                            .attn_out = adapted(block.attn_out, WeightKind::kAttnOutWeight),
                            .mlp_norm = block.mlp_norm,
                            .mlp_up = adapted(block.mlp_up, WeightKind::kMlpUpWeight),
                            .mlp_down = adapted(block.mlp_down, WeightKind::kMlpDownWeight)});
  }
  return views;
}

void CheckAdapters(const ModelConfig& model, std::span<const AdapterChoice> adapters,
                   std::vector<std::string>* warnings) {
  for (const AdapterChoice& adapter : adapters) adapter.folder->Match(model, warnings);
}

uint64_t PlanAdapters(const ModelConfig& model, std::span<const AdapterChoice> adapters) {
  if (adapters.empty()) return 0;
  uint64_t bytes = RotaryTable::Bytes(model.rotary_dims, model.max_positions);
  for (const AdapterChoice& adapter : adapters) {
    for (const AdaptedMatrix& matrix : adapter.folder->Match(model)) {
      for (const StoredTensor* tensor : {matrix.a, matrix.b}) {
        bytes += PackedMatrix::Bytes(DType::kF32, tensor->shape[0], tensor->shape[1]);
      }
    }
  }
  return bytes;
}

std::shared_ptr<const ModelWeights> WithAdapters(std::shared_ptr<const ModelWeights> base,
                                                 std::span<const AdapterChoice> adapters) {
  if (adapters.empty()) return base;
  const ModelConfig& config = base->config;
  const QkvOrder order = QkvOrderOf(*base);
  std::map<std::pair<WeightKind, int32_t>, std::vector<Adapter>> of_matrix;
  for (const AdapterChoice& choice : adapters) {
    const AdapterFolder& folder = *choice.folder;
    for (const AdaptedMatrix& matrix : folder.Match(config)) {
      std::function<int64_t(int64_t)> row_of;
      if (matrix.entry.kind == WeightKind::kQkvWeight && order != QkvOrder::kPerHead) {
        row_of = [&](int64_t row) { return QkvRow(config, QkvOrder::kPerHead, order, row); };
      }
      of_matrix[{matrix.entry.kind, matrix.entry.layer}].push_back(
          {.a = Pack(folder.file(), *matrix.a, {}),
           .b = Pack(folder.file(), *matrix.b, row_of),
           .scale = static_cast<float>(folder.config().Scale() * choice.scale)});
    }
  }
  return std::make_shared<const ModelWeights>(AdaptedViews(base, [&](WeightKind kind, int32_t layer) {
    return std::move(of_matrix[{kind, layer}]);
  }));
}

}  // namespace stablelm
