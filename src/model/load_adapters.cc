#include "model/load_adapters.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "checkpoint/convert_rows.h"
#include "checkpoint/rewrite/tensor_copy.h"

namespace stablelm {
namespace {

QkvOrder QkvOrderOf(const ModelWeights& weights) {
  return weights.blocks[0].qkv_layout.part_stride == weights.config.head_dim() ? QkvOrder::kPerHead
                                                                               : QkvOrder::kStacked;
}

// What the views of adapted weights keep alive. All adapters lie in one buffer, because each matrix alone would be too
// small for huge pages (base/aligned_buffer.h).
struct AdapterStorage {
  std::shared_ptr<const ModelWeights> base;
  AlignedBuffer<std::byte> adapters;
};

uint64_t PackedBytes(const ModelConfig& model, std::span<const AdapterChoice> adapters) {
  uint64_t bytes = 0;
  for (const AdapterChoice& adapter : adapters) {
    for (const AdaptedMatrix& matrix : adapter.folder->Match(model)) {
      for (const StoredTensor* tensor : {matrix.a, matrix.b}) {
        bytes += PackedMatrix::Bytes(DType::kF32, tensor->shape[0], tensor->shape[1]);
      }
    }
  }
  return bytes;
}

// Packs the tensor at `packed`, and moves that to its end.
PackedMatrix Pack(const WeightFile& file, const StoredTensor& tensor, std::function<int64_t(int64_t)> row_of,
                  std::byte*& packed) {
  const StoredRows stored(file, tensor);
  const RowSource& source = stored.source();
  const size_t columns = static_cast<size_t>(source.width), row_bytes = columns * sizeof(float);
  std::byte* const begin = packed;
  ConvertRows(source,
              {.type = DType::kF32,
               .non_finite = NonFinite::kRefuse,
               .row_of = std::move(row_of),
               .group = static_cast<int64_t>(kPanelRows)},
              [&](int64_t first, std::span<const std::byte> rows) {
                for (size_t row = 0; row < rows.size() / row_bytes; row += kPanelRows) {
                  const size_t count = std::min(kPanelRows, rows.size() / row_bytes - row);
                  PackedMatrix::PackPanel(DType::kF32, Compute::kExact, count, columns, rows.data() + row * row_bytes,
                                          begin + (static_cast<size_t>(first) + row) * row_bytes);
                }
              });
  packed += PackedMatrix::Bytes(DType::kF32, source.rows, source.width);
  return PackedMatrix::View(DType::kF32, source.rows, source.width, Compute::kExact, begin);
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
  return RotaryTable::Bytes(model.rotary_dims, model.max_positions) + PackedBytes(model, adapters);
}

std::shared_ptr<const ModelWeights> WithAdapters(std::shared_ptr<const ModelWeights> base,
                                                 std::span<const AdapterChoice> adapters) {
  if (adapters.empty()) return base;
  const ModelConfig& config = base->config;
  const QkvOrder order = QkvOrderOf(*base);
  const auto storage = std::make_shared<AdapterStorage>();
  storage->base = base;
  storage->adapters = AlignedBuffer<std::byte>(PackedBytes(config, adapters), "adapters");
  std::byte* packed = storage->adapters.data();
  std::map<std::pair<WeightKind, int32_t>, std::vector<Adapter>> of_matrix;
  for (const AdapterChoice& choice : adapters) {
    const AdapterFolder& folder = *choice.folder;
    for (const AdaptedMatrix& matrix : folder.Match(config)) {
      std::function<int64_t(int64_t)> row_of;
      if (matrix.entry.kind == WeightKind::kQkvWeight && order != QkvOrder::kPerHead) {
        row_of = [&](int64_t row) { return QkvRow(config, QkvOrder::kPerHead, order, row); };
      }
      of_matrix[{matrix.entry.kind, matrix.entry.layer}].push_back(
          {.a = Pack(folder.file(), *matrix.a, {}, packed),
           .b = Pack(folder.file(), *matrix.b, row_of, packed),
           .scale = static_cast<float>(folder.config().Scale() * choice.scale)});
    }
  }
  ModelWeights views = AdaptedViews(base, [&](WeightKind kind, int32_t layer) {
    return std::move(of_matrix[{kind, layer}]);
  });
  views.storage = storage;
  return std::make_shared<const ModelWeights>(std::move(views));
}

}  // namespace stablelm
