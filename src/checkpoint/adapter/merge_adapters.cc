#include "checkpoint/adapter/merge_adapters.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "checkpoint/convert_rows.h"

namespace stablelm {
namespace {

std::vector<float> ReadFloats(const WeightFile& file, const StoredTensor& tensor) {
  const StoredRows stored(file, tensor);
  std::vector<float> values(static_cast<size_t>(tensor.shape.NumElements()));
  const size_t width = static_cast<size_t>(stored.source().width);
  ConvertRows(stored.source(), {.type = DType::kF32, .non_finite = NonFinite::kRefuse},
              [&](int64_t first, std::span<const std::byte> rows) {
                std::memcpy(values.data() + static_cast<size_t>(first) * width, rows.data(), rows.size());
              });
  return values;
}

}  // namespace

AdapterMerge::AdapterMerge(const ModelFolder& model, std::span<const AdapterChoice> adapters) : model_(model) {
  for (const AdapterChoice& adapter : adapters) {
    const AdapterFolder& folder = *adapter.folder;
    for (const AdaptedMatrix& matrix : folder.Match(model.config())) {
      const auto entry = std::ranges::find(model.table(), matrix.entry.name, &WeightEntry::name);
      STABLELM_CHECK(entry != model.table().end());
      updates_[static_cast<size_t>(entry - model.table().begin())].push_back(
          {.a = ReadFloats(folder.file(), *matrix.a),
           .b = ReadFloats(folder.file(), *matrix.b),
           .rank = static_cast<size_t>(folder.config().rank),
           .scale = static_cast<float>(folder.config().Scale() * adapter.scale)});
    }
  }
}

void AdapterMerge::AddTo(size_t entry, int64_t row, std::span<float> values) const {
  // B's rows of QKV matrices are per head.
  if (model_.table()[entry].kind == WeightKind::kQkvWeight) {
    row = QkvRow(model_.config(), QkvOrder::kPerHead, model_.qkv_order(), row);
  }
  std::vector<float> sum(values.size());
  for (const Update& update : updates_.at(entry)) {
    std::ranges::fill(sum, 0.0f);
    const float* const b = update.b.data() + static_cast<size_t>(row) * update.rank;
    for (size_t j = 0; j < update.rank; ++j) {
      const float* const a = update.a.data() + j * values.size();
      for (size_t k = 0; k < values.size(); ++k) sum[k] += b[j] * a[k];
    }
    for (size_t k = 0; k < values.size(); ++k) values[k] += update.scale * sum[k];
  }
}

RowChange AdapterMerge::Change() const {
  return {.changes = [this](size_t entry) { return Changes(entry); },
          .apply = [this](size_t entry, int64_t row, std::span<float> values) { AddTo(entry, row, values); }};
}

}  // namespace stablelm
