#include "model/load.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/progress.h"
#include "checkpoint/convert_rows.h"

namespace stablelm {
namespace {

// The memory that the views of the weights point to.
struct Storage {
  std::shared_ptr<const ModelFolder> folder;
  std::vector<AlignedBuffer<std::byte>> copies;
};

// One tensor in memory: a packed matrix or a view.
struct Loaded {
  PackedMatrix packed;
  TensorView view;
  const float* vector() const { return reinterpret_cast<const float*>(view.data); }  // always aligned fp32
};

class Loader {
 public:
  Loader(std::shared_ptr<const ModelFolder> folder, const LoadOptions& options)
      : folder_(*folder), options_(options), storage_(std::make_shared<Storage>()) {
    STABLELM_CHECK(options.types.empty() || options.types.size() == folder->table().size());
    storage_->folder = std::move(folder);
    for (size_t i = 0; i < folder_.table().size(); ++i) placements_.push_back(PlacementOf(i));
  }

  std::shared_ptr<const ModelWeights> Load() {
    Progress progress(options_.types.empty() ? "Loading weights" : "Quantizing weights", Work(), Progress::Unit::kBytes,
                      options_.show_progress, {.listener = options_.on_progress});
    progress_ = &progress;
    std::vector<Loaded> loaded;
    for (size_t i = 0; i < folder_.table().size(); ++i) loaded.push_back(LoadTensor(i));
    auto weights = Assemble(loaded);
    progress.Finish();
    return weights;
  }

 private:
  using Where = WeightPlacement::Where;

  WeightTypes Wanted() const { return {.dtype = options_.dtype, .types = options_.types, .compute = options_.compute}; }
  WeightPlacement PlacementOf(size_t i) const {
    const StoredTensor& tensor = folder_.TensorOf(i);
    return PlaceWeight(i, folder_.table()[i], *tensor.dtype, tensor.contiguous(), Wanted());
  }

  // Bytes to read, for the progress bar.
  uint64_t Work() const {
    uint64_t work = 0;
    for (size_t i = 0; i < placements_.size(); ++i) {
      if (placements_[i].where != Where::kMapped || options_.check_values) work += folder_.TensorOf(i).bytes;
    }
    if (folder_.config().tie_word_embeddings) work += placements_[0].bytes;
    return work;
  }

  RowConversion ConversionTo(DType type) const {
    return {.type = type,
            .non_finite = options_.check_values ? NonFinite::kRefuse : NonFinite::kKeep,
            .pool = options_.pool,
            .progress = progress_};
  }

  Loaded LoadTensor(size_t i) {
    const WeightEntry& entry = folder_.table()[i];
    const StoredTensor& tensor = folder_.TensorOf(i);
    const WeightPlacement& placed = placements_[i];
    Loaded loaded;
    loaded.view = {.dtype = placed.type, .shape = entry.shape};
    if (placed.where == Where::kMapped) {
      loaded.view.data = folder_.FileOf(i).map->bytes().data() + tensor.offset;
      if (!options_.check_values) return loaded;
    }
    const StoredRows stored(folder_.FileOf(i), tensor);
    switch (placed.where) {
      case Where::kMapped:
        ConvertRows(stored.source(), ConversionTo(placed.type), [](int64_t, std::span<const std::byte>) {});
        break;
      case Where::kCopied:
        loaded.view.data = Copy(stored.source(), placed, entry.name);
        break;
      case Where::kPacked:
        loaded.packed = Pack(stored.source(), placed, entry.name);
        break;
    }
    return loaded;
  }

  const std::byte* Copy(const RowSource& source, const WeightPlacement& placed, const std::string& name) {
    std::byte* const copy = storage_->copies.emplace_back(placed.bytes, name.c_str()).data();
    const size_t row_bytes = BytesOf(placed.type, source.width);
    ConvertRows(source, ConversionTo(placed.type), [&](int64_t first, std::span<const std::byte> rows) {
      std::memcpy(copy + static_cast<size_t>(first) * row_bytes, rows.data(), rows.size());
    });
    return copy;
  }

  PackedMatrix Pack(const RowSource& source, const WeightPlacement& placed, const std::string& name) const {
    PackedMatrix packed(placed.packed_type(), source.rows, source.width, name.c_str(), placed.compute);
    const size_t width = static_cast<size_t>(source.width);
    const size_t row_bytes = BytesOf(placed.type, source.width);
    // From the requested type to the type used in products; may round a second time.
    const RowConverter round({.from = placed.type,
                              .to = placed.packed_type(),
                              .width = width,
                              .matrix = true,
                              .non_finite = options_.check_values ? NonFinite::kRefuse : NonFinite::kKeep,
                              .where = source.where});
    RowConversion conversion = ConversionTo(placed.type);
    conversion.group = static_cast<int64_t>(kPanelRows);
    ConvertRows(source, conversion, [&](int64_t first, std::span<const std::byte> rows) {
      std::vector<std::byte> rounded;
      if (!round.Copies()) rounded.resize(kPanelRows * packed.row_bytes());
      for (size_t begin = 0; begin < rows.size(); begin += kPanelRows * row_bytes) {
        const size_t row = static_cast<size_t>(first) + begin / row_bytes, panel = row / kPanelRows;
        const std::byte* from = rows.data() + begin;
        if (!round.Copies()) {
          for (size_t r = 0; r < packed.RowsOf(panel); ++r) {
            round.Convert(static_cast<int64_t>(row + r), from + r * row_bytes, {},
                          rounded.data() + r * packed.row_bytes());
          }
          from = rounded.data();
        }
        packed.Pack(panel, from);
      }
    });
    return packed;
  }

  std::shared_ptr<const ModelWeights> Assemble(std::vector<Loaded>& loaded) {
    const ModelConfig& config = folder_.config();
    const auto of = [&](WeightKind kind, int32_t layer) -> Loaded& {
      const auto entry = std::ranges::find_if(folder_.table(),
                                              [&](const WeightEntry& e) { return e.kind == kind && e.layer == layer; });
      STABLELM_CHECK(entry != folder_.table().end());
      return loaded[static_cast<size_t>(entry - folder_.table().begin())];
    };
    const auto norm = [&](WeightKind weight, WeightKind bias, int32_t layer) {
      return LayerNormWeights{of(weight, layer).vector(), of(bias, layer).vector(), config.layer_norm_eps};
    };
    const auto linear = [&](WeightKind weight, WeightKind bias, int32_t layer) {
      return Linear(std::move(of(weight, layer).packed), of(bias, layer).vector());
    };
    const QkvLayout qkv_layout = folder_.qkv_order() == QkvOrder::kPerHead
                                     ? QkvLayout::PerHead(config.head_dim())
                                     : QkvLayout::Stacked(config.n_heads, config.head_dim());
    using K = WeightKind;
    std::vector<BlockWeights> blocks;
    for (int32_t i = 0; i < config.n_layers; ++i) {
      blocks.push_back({.attn_norm = norm(K::kAttnNormWeight, K::kAttnNormBias, i),
                        .qkv = linear(K::kQkvWeight, K::kQkvBias, i),
                        .qkv_layout = qkv_layout,
                        .attn_out = linear(K::kAttnOutWeight, K::kAttnOutBias, i),
                        .mlp_norm = norm(K::kMlpNormWeight, K::kMlpNormBias, i),
                        .mlp_up = linear(K::kMlpUpWeight, K::kMlpUpBias, i),
                        .mlp_down = linear(K::kMlpDownWeight, K::kMlpDownBias, i)});
    }
    const TensorView embedding = of(K::kEmbedding, -1).view;
    PackedMatrix output = config.tie_word_embeddings ? PackTied(embedding) : std::move(of(K::kOutput, -1).packed);
    ModelWeights weights = {.config = config,
                            .embedding = embedding,
                            .blocks = std::move(blocks),
                            .final_norm = norm(K::kFinalNormWeight, K::kFinalNormBias, -1),
                            .output = Linear(std::move(output), nullptr),
                            .rotary = RotaryTable(config.rotary_dims, config.rotary_base, config.max_positions),
                            .storage = storage_};
    weights.config.activation = options_.activation.value_or(config.activation);
    return std::make_shared<const ModelWeights>(std::move(weights));
  }

  // The tied output matrix: the embedding, in the type it has in memory.
  PackedMatrix PackTied(const TensorView& embedding) const {
    const RowSource source = {.data = embedding.data,
                              .type = embedding.dtype,
                              .rows = embedding.shape[0],
                              .width = embedding.shape[1],
                              .where = "tied output matrix"};
    return Pack(source, PlaceTiedOutput(folder_.config(), embedding.dtype, Wanted()), "tied output matrix");
  }

  const ModelFolder& folder_;
  const LoadOptions& options_;
  std::shared_ptr<Storage> storage_;
  std::vector<WeightPlacement> placements_;  // [table]
  Progress* progress_ = nullptr;
};

}  // namespace

std::shared_ptr<const ModelWeights> LoadWeights(std::shared_ptr<const ModelFolder> folder, const LoadOptions& options) {
  STABLELM_CHECK(folder);
  STABLELM_CHECK(!options.dtype || *options.dtype == DType::kF32 || *options.dtype == DType::kF16 ||
                 *options.dtype == DType::kBF16);
  const int64_t head_dim = folder->config().head_dim();
  if (head_dim > kMaxHeadDim) {
    throw Error({.where = "config.json: hidden_size / num_attention_heads",
                 .what = "head size too large",
                 .found = std::to_string(head_dim),
                 .expected = "at most " + std::to_string(kMaxHeadDim),
                 .hint = "no StableLM-Alpha has larger ones: is config.json that of the weights?"});
  }
  return Loader(std::move(folder), options).Load();
}

}  // namespace stablelm
