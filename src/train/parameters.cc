#include "train/parameters.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "model/load_adapters.h"
#include "ops/convert.h"
#include "ops/packed_matrix.h"

namespace stablelm {
namespace {

constexpr size_t kWeightAlignment = 256;  // bytes

// Memory from the system is zero already; small buffers are not from the system.
template <typename T>
AlignedBuffer<T> Zeros(size_t n, const char* what) {
  AlignedBuffer<T> buffer(n, what);
  if (n > 0) std::memset(buffer.data(), 0, n * sizeof(T));
  return buffer;
}

// Position of element (row, column) in the order of a packed fp32 matrix.
size_t PackedIndex(int64_t columns, size_t row, size_t column) {
  return (row / kPanelRows * static_cast<size_t>(columns) + column) * kPanelRows + row % kPanelRows;
}

}  // namespace

std::vector<Parameters::Place> Parameters::PlacesOf(const ParameterTable& table, Precision precision) {
  std::vector<Place> places;
  size_t end = 0;
  for (const Parameter& entry : table.entries()) {
    Place place;
    if (table.lora()) {  // the base has weights of its own
    } else if (!entry.trained || precision != Precision::kF32) {
      const Shape& shape = entry.weight.shape;
      // Vectors are used as fp32; in 16 bits they hold rounded values.
      place.type = entry.weight.IsMatrix() ? WeightType(precision) : DType::kF32;
      if (entry.packed) place.compute = ComputeOf(precision);
      place.offset = end;
      place.bytes = entry.packed ? PackedMatrix::Bytes(place.type, shape[0], shape[1], place.compute)
                                 : BytesOf(place.type, shape.NumElements());
      end += (place.bytes + kWeightAlignment - 1) / kWeightAlignment * kWeightAlignment;
    }
    places.push_back(place);
  }
  return places;
}

ParameterBytes Parameters::Bytes(const ParameterTable& table, Precision precision) {
  const uint64_t each = table.trained_size() * sizeof(float);
  ParameterBytes bytes = {.masters = each, .gradients = each, .moments = 2 * each};
  for (const Place& place : PlacesOf(table, precision)) {
    bytes.weights += (place.bytes + kWeightAlignment - 1) / kWeightAlignment * kWeightAlignment;
  }
  return bytes;
}

Parameters::Parameters(const ModelConfig& config, ParameterTable table, Precision precision, QkvOrder qkv_order)
    : config_(config),
      table_(std::move(table)),
      precision_(precision),
      qkv_order_(qkv_order),
      places_(PlacesOf(table_, precision)),
      masters_(Zeros<float>(table_.trained_size(), "master weights")),
      gradients_(Zeros<float>(table_.trained_size(), "gradients")),
      first_moments_(Zeros<float>(table_.trained_size(), "first moments of AdamW")),
      second_moments_(Zeros<float>(table_.trained_size(), "second moments of AdamW")),
      weights_store_(Zeros<std::byte>(Bytes(table_, precision).weights, "weights")),
      weights_(MakeViews()) {}

Parameters::Parameters(std::shared_ptr<const ModelWeights> base, ParameterTable table, QkvOrder qkv_order)
    : config_(base->config),
      table_(std::move(table)),
      precision_(Precision::kF32),
      qkv_order_(qkv_order),
      places_(PlacesOf(table_, precision_)),
      masters_(Zeros<float>(table_.trained_size(), "adapters")),
      gradients_(Zeros<float>(table_.trained_size(), "gradients")),
      first_moments_(Zeros<float>(table_.trained_size(), "first moments of AdamW")),
      second_moments_(Zeros<float>(table_.trained_size(), "second moments of AdamW")),
      weights_(MakeAdaptedViews(base)) {}

std::byte* Parameters::WeightsOf(size_t entry) {
  const Parameter& p = table_.entries()[entry];
  return UsesMaster(p) ? reinterpret_cast<std::byte*>(masters_.data() + p.offset)
                       : weights_store_.data() + places_[entry].offset;
}

float* Parameters::GradientOf(WeightKind kind, int32_t layer) {
  const Parameter& p = table_.Find(kind, layer);
  return p.trained ? gradients_.data() + p.offset : nullptr;
}

float* Parameters::GradientOf(WeightKind kind, int32_t layer, AdapterPart part) {
  const Parameter* const p = table_.FindAdapter(kind, layer, part);
  return p ? gradients_.data() + p->offset : nullptr;
}

std::shared_ptr<const ModelWeights> Parameters::MakeAdaptedViews(
    const std::shared_ptr<const ModelWeights>& base) const {
  STABLELM_CHECK(table_.lora());
  const auto matrix = [&](const Parameter& p) {
    return PackedMatrix::View(DType::kF32, p.weight.shape[0], p.weight.shape[1], Compute::kExact,
                              reinterpret_cast<const std::byte*>(masters_.data() + p.offset));
  };
  return std::make_shared<ModelWeights>(AdaptedViews(base, [&](WeightKind kind, int32_t layer) {
    const Parameter* const a = table_.FindAdapter(kind, layer, AdapterPart::kA);
    const Parameter* const b = table_.FindAdapter(kind, layer, AdapterPart::kB);
    std::vector<Adapter> adapters;
    if (a) {
      adapters.push_back({.a = matrix(*a),
                          .b = matrix(*b),
                          .scale = static_cast<float>(table_.lora()->Scale()),
                          .key = LoraKey(kind, layer)});
    }
    return adapters;
  }));
}

std::shared_ptr<const ModelWeights> Parameters::MakeViews() {
  using K = WeightKind;
  const auto index_of = [&](K kind, int32_t layer) {
    return static_cast<size_t>(&table_.Find(kind, layer) - table_.entries().data());
  };
  const auto vector = [&](K kind, int32_t layer) {
    return reinterpret_cast<const float*>(WeightsOf(index_of(kind, layer)));
  };
  const auto norm = [&](K weight, K bias, int32_t layer) {
    return LayerNormWeights{vector(weight, layer), vector(bias, layer), config_.layer_norm_eps};
  };
  const auto matrix = [&](K kind, int32_t layer) {
    const size_t i = index_of(kind, layer);
    const Shape& shape = table_.entries()[i].weight.shape;
    return PackedMatrix::View(places_[i].type, shape[0], shape[1], places_[i].compute, WeightsOf(i));
  };
  const DType rows_as = RowsAs(precision_);
  const auto linear = [&](K weight, K bias, int32_t layer) {
    return Linear(matrix(weight, layer), vector(bias, layer), rows_as);
  };
  auto weights = std::make_shared<ModelWeights>(ModelWeights{
      .config = config_,
      .embedding = {},
      .blocks = {},
      .final_norm = norm(K::kFinalNormWeight, K::kFinalNormBias, -1),
      .output = Linear(matrix(config_.tie_word_embeddings ? K::kEmbedding : K::kOutput, -1), nullptr, rows_as),
      .rotary = RotaryTable(config_.rotary_dims, config_.rotary_base, config_.max_positions),
      .storage = nullptr});
  if (!config_.tie_word_embeddings) {
    const size_t i = index_of(K::kEmbedding, -1);
    weights->embedding = {WeightsOf(i), places_[i].type, table_.entries()[i].weight.shape};
  }
  const QkvLayout qkv_layout = qkv_order_ == QkvOrder::kPerHead
                                   ? QkvLayout::PerHead(config_.head_dim())
                                   : QkvLayout::Stacked(config_.n_heads, config_.head_dim());
  for (int32_t i = 0; i < config_.n_layers; ++i) {
    weights->blocks.push_back({.attn_norm = norm(K::kAttnNormWeight, K::kAttnNormBias, i),
                               .qkv = linear(K::kQkvWeight, K::kQkvBias, i),
                               .qkv_layout = qkv_layout,
                               .attn_out = linear(K::kAttnOutWeight, K::kAttnOutBias, i),
                               .mlp_norm = norm(K::kMlpNormWeight, K::kMlpNormBias, i),
                               .mlp_up = linear(K::kMlpUpWeight, K::kMlpUpBias, i),
                               .mlp_down = linear(K::kMlpDownWeight, K::kMlpDownBias, i)});
  }
  return weights;
}

void Parameters::Set(size_t entry, size_t first, std::span<const float> values) {
  const Parameter& p = table_.entries()[entry];
  const bool matrix = p.weight.IsMatrix();
  const int64_t columns = p.weight.shape[matrix ? 1 : 0];
  const Place& place = places_[entry];
  const DType type = WeightType(precision_);  // what a weight that is not trained is rounded to
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t at = first + i, row = at / static_cast<size_t>(columns), column = at % static_cast<size_t>(columns);
    if (p.trained) {
      masters_[p.offset + (p.packed ? PackedIndex(columns, row, column) : at)] = values[i];
      continue;
    }
    std::byte* const to =
        WeightsOf(entry) + (p.packed ? PackedMatrix::OffsetOf(place.type, columns, place.compute,
                                                              static_cast<int64_t>(row), static_cast<int64_t>(column))
                                     : at * BytesOf(place.type));
    std::byte rounded[sizeof(float)];
    ConvertFromFloat(&values[i], 1, type, rounded);
    ConvertValues(rounded, type, to, place.type, 1);
  }
}

void Parameters::SetRows(size_t entry, int64_t first, std::span<const float> rows) {
  const Parameter& p = table_.entries()[entry];
  const size_t columns = static_cast<size_t>(p.weight.shape[p.weight.IsMatrix() ? 1 : 0]);
  const size_t begin = static_cast<size_t>(first), end = begin + rows.size() / columns;
  const bool last = p.weight.IsMatrix() && static_cast<int64_t>(end) == p.weight.shape[0];
  if (!p.packed || begin % kPanelRows != 0 || (end % kPanelRows != 0 && !last)) {
    return Set(entry, begin * columns, rows);
  }
  const DType type = p.trained ? DType::kF32 : places_[entry].type;
  const Compute compute = p.trained ? Compute::kExact : places_[entry].compute;
  std::byte* const base = p.trained ? reinterpret_cast<std::byte*>(masters_.data() + p.offset) : WeightsOf(entry);
  const size_t panel_bytes = PackedMatrix::Bytes(type, kPanelRows, static_cast<int64_t>(columns), compute);
  std::vector<std::byte> rounded(type == DType::kF32 ? 0 : kPanelRows * columns * BytesOf(type));
  for (size_t row = begin; row < end; row += kPanelRows) {
    const size_t count = std::min(kPanelRows, end - row);
    const float* const values = rows.data() + (row - begin) * columns;
    if (!rounded.empty()) ConvertFromFloat(values, count * columns, type, rounded.data());
    PackedMatrix::PackPanel(type, compute, count, columns,
                            rounded.empty() ? reinterpret_cast<const std::byte*>(values) : rounded.data(),
                            base + row / kPanelRows * panel_bytes);
  }
}

void Parameters::ReadRow(size_t entry, int64_t row, float* out) const {
  const Parameter& p = table_.entries()[entry];
  if (!p.trained) return weights_->ReadRow(p.weight, row, out);
  ReadRow(masters_.span(), entry, row, out);
}

void Parameters::ReadRow(std::span<const float> array, size_t entry, int64_t row, float* out) const {
  const Parameter& p = table_.entries()[entry];
  STABLELM_CHECK(p.trained && array.size() == table_.trained_size());
  const int64_t columns = p.weight.shape[p.weight.IsMatrix() ? 1 : 0];
  const size_t n = static_cast<size_t>(columns);
  const float* const from = array.data() + p.offset;
  if (!p.packed) {
    std::copy_n(from + static_cast<size_t>(row) * n, n, out);
    return;
  }
  for (size_t k = 0; k < n; ++k) out[k] = from[PackedIndex(columns, static_cast<size_t>(row), k)];
}

void Parameters::SetRow(std::span<float> array, size_t entry, int64_t row, const float* values) const {
  const Parameter& p = table_.entries()[entry];
  STABLELM_CHECK(p.trained && array.size() == table_.trained_size());
  const int64_t columns = p.weight.shape[p.weight.IsMatrix() ? 1 : 0];
  const size_t n = static_cast<size_t>(columns);
  float* const to = array.data() + p.offset;
  if (!p.packed) {
    std::copy_n(values, n, to + static_cast<size_t>(row) * n);
    return;
  }
  for (size_t k = 0; k < n; ++k) to[PackedIndex(columns, static_cast<size_t>(row), k)] = values[k];
}

void Parameters::RoundWeights(size_t begin, size_t end) {
  if (precision_ == Precision::kF32) return;
  const DType type = WeightType(precision_);
  for (size_t i = 0; i < table_.entries().size(); ++i) {
    const Parameter& p = table_.entries()[i];
    if (!p.trained || p.offset + p.size <= begin || p.offset >= end) continue;
    const Place& place = places_[i];
    const size_t from = std::max(begin, p.offset) - p.offset, to = std::min(end - p.offset, p.size);
    const float* const master = masters_.data() + p.offset;
    std::byte* const weights = WeightsOf(i);
    if (place.compute == Compute::kFast) {
      RoundToPairs(master, static_cast<size_t>(p.weight.shape[1]), from, to, reinterpret_cast<BF16*>(weights));
    } else if (place.type == type) {
      ConvertFromFloat(master + from, to - from, type, weights + from * BytesOf(type));
    } else {  // a vector: rounded, and kept as fp32
      constexpr size_t kBlock = 256;
      std::byte rounded[kBlock * sizeof(float)];
      for (size_t at = from; at < to; at += kBlock) {
        const size_t n = std::min(kBlock, to - at);
        ConvertFromFloat(master + at, n, type, rounded);
        ConvertValues(rounded, type, weights + at * sizeof(float), DType::kF32, n);
      }
    }
  }
}

}  // namespace stablelm
