#include "checkpoint/rewrite/tensor_copy.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "checkpoint/convert_rows.h"
#include "ops/convert.h"

namespace stablelm {
namespace {

// The units to reorder: the rows of a QKV matrix, the elements of a QKV bias.
RowSource RowsThatMove(RowSource source) {
  if (!source.matrix) std::swap(source.rows, source.width);
  return source;
}

// ConvertRows by way of fp32, in which `change` changes every row.
void CopyChanged(const RowSource& source, RowConversion conversion,
                 const std::function<void(int64_t row, std::span<float> values)>& change, const RowSink& sink) {
  const size_t width = static_cast<size_t>(source.width), row_bytes = BytesOf(conversion.type, source.width);
  const RowConverter convert({.to = conversion.type,
                              .width = width,
                              .weights = conversion.weights,
                              .matrix = source.matrix,
                              .non_finite = conversion.non_finite,
                              .where = source.where});
  conversion.type = DType::kF32;
  conversion.weights = {};
  ConvertRows(source, conversion, [&](int64_t first, std::span<const std::byte> rows) {
    const size_t count = rows.size() / (width * sizeof(float));
    std::vector<float> values(width), scratch(convert.ScratchFloats());
    std::vector<std::byte> converted(count * row_bytes);
    for (size_t r = 0; r < count; ++r) {
      const int64_t row = first + static_cast<int64_t>(r), from = conversion.row_of ? conversion.row_of(row) : row;
      std::memcpy(values.data(), rows.data() + r * width * sizeof(float), width * sizeof(float));
      change(from, values);
      convert.Convert(from, reinterpret_cast<const std::byte*>(values.data()), scratch,
                      converted.data() + r * row_bytes);
    }
    sink(first, converted);
  });
}

}  // namespace

int64_t QkvRow(const ModelConfig& config, QkvOrder from, QkvOrder to, int64_t row) {
  if (from == to) return row;
  const int64_t D = config.head_dim(), H = config.n_heads, d = row % D;
  // [3, H, D] from [H, 3, D], and the reverse.
  if (to == QkvOrder::kStacked) return (row / D % H * 3 + row / (H * D)) * D + d;
  return (row / D % 3 * H + row / (3 * D)) * D + d;
}

uint64_t SourceBytes(const ModelFolder& model) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < model.table().size(); ++i) bytes += model.TensorOf(i).bytes;
  return bytes;
}

void CopyTensors(const ModelFolder& model, const TensorCopy& copy, const TensorSink& sink) {
  STABLELM_CHECK(copy.pool && copy.types.size() == model.table().size());
  STABLELM_CHECK(copy.weights.empty() || copy.weights.size() == model.table().size());
  for (size_t i = 0; i < model.table().size(); ++i) {
    const WeightEntry& entry = model.table()[i];
    const StoredRows stored(model.FileOf(i), model.TensorOf(i));
    const bool qkv = entry.kind == WeightKind::kQkvWeight || entry.kind == WeightKind::kQkvBias;
    const bool moves = qkv && copy.qkv_order != model.qkv_order();
    const RowSource source = moves ? RowsThatMove(stored.source()) : stored.source();
    RowConversion conversion = {.type = copy.types[i],
                                .weights = copy.weights.empty() ? std::span<const float>() : copy.weights[i],
                                .non_finite = copy.refuse_non_finite ? NonFinite::kRefuse : NonFinite::kRefuseNew,
                                .pool = copy.pool,
                                .progress = copy.progress,
                                .checkpoint = copy.checkpoint};
    if (moves) {
      conversion.row_of = [&](int64_t row) { return QkvRow(model.config(), model.qkv_order(), copy.qkv_order, row); };
    }
    const size_t row_bytes = BytesOf(copy.types[i], source.width);
    if (copy.change.changes && copy.change.changes(i)) {
      CopyChanged(
          source, conversion, [&](int64_t row, std::span<float> values) { copy.change.apply(i, row, values); },
          [&](int64_t first, std::span<const std::byte> rows) {
            sink(i, static_cast<uint64_t>(first) * row_bytes, rows);
          });
      continue;
    }
    ConvertRows(source, conversion, [&](int64_t first, std::span<const std::byte> rows) {
      sink(i, static_cast<uint64_t>(first) * row_bytes, rows);
    });
  }
}

bool IsExactAs(const ModelFolder& model, size_t entry, DType type) {
  const StoredRows stored(model.FileOf(entry), model.TensorOf(entry));
  const RowSource& source = stored.source();
  const size_t n = static_cast<size_t>(model.TensorOf(entry).shape.NumElements());
  if (source.type == type) return true;
  const size_t from_size = BytesOf(source.type);
  std::vector<std::byte> narrow(n * BytesOf(type)), back(n * from_size);
  ConvertValues(source.data, source.type, narrow.data(), type, n);
  if (source.type == DType::kF64) return false;
  ConvertValues(narrow.data(), type, back.data(), source.type, n);
  return std::memcmp(back.data(), source.data, back.size()) == 0;
}

}  // namespace stablelm
