#include "checkpoint/rewrite/tensor_copy.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "ops/convert_values.h"
#include "ops/row_converter.h"

namespace stablelm {
namespace {

constexpr int64_t kPieceElements = int64_t{1} << 18;

// A tensor as rows that may change places: a matrix by its rows, a bias of QKV by its elements, another vector as one
// row.
struct Rows {
  int64_t rows = 1;
  int64_t width = 1;
  bool permuted = false;
};

Rows RowsOf(const WeightEntry& entry, bool reorder_qkv) {
  const bool permuted = reorder_qkv && (entry.kind == WeightKind::kQkvWeight || entry.kind == WeightKind::kQkvBias);
  if (entry.IsMatrix()) return {.rows = entry.shape[0], .width = entry.shape[1], .permuted = permuted};
  if (permuted) return {.rows = entry.shape[0], .width = 1, .permuted = true};
  return {.rows = 1, .width = entry.shape[0]};
}

// The bytes of a tensor in C order: those of the file, or a copy of a strided view.
class Source {
 public:
  Source(const WeightFile& file, const StoredTensor& tensor) : file_(file), tensor_(tensor) {
    if (tensor.contiguous()) return;
    gathered_ = AlignedBuffer<std::byte>(tensor.bytes, tensor.name.c_str());
    GatherTensor(tensor, file.map.bytes(), gathered_.span());
  }
  ~Source() { file_.map.Release(tensor_.offset, tensor_.bytes); }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  const std::byte* data() const {
    return tensor_.contiguous() ? file_.map.bytes().data() + tensor_.offset : gathered_.data();
  }
  // The reader is done with these bytes of data().
  void Release(size_t begin, size_t bytes) const {
    if (tensor_.contiguous()) file_.map.Release(tensor_.offset + begin, bytes);
  }
  DType type() const { return *tensor_.dtype; }
  std::string where() const { return file_.map.path().string() + ": tensor " + Quoted(tensor_.name); }

 private:
  const WeightFile& file_;
  const StoredTensor& tensor_;
  AlignedBuffer<std::byte> gathered_;
};

}  // namespace

int64_t QkvRow(const ModelConfig& config, QkvOrder from, QkvOrder to, int64_t row) {
  if (from == to) return row;
  const int64_t D = config.head_dim(), H = config.n_heads, d = row % D;
  // [3, H, D] from [H, 3, D] and the other way round.
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
  const bool reorder = copy.qkv_order != model.qkv_order();
  for (size_t entry = 0; entry < model.table().size(); ++entry) {
    const Source source(model.FileOf(entry), model.TensorOf(entry));
    const Rows rows = RowsOf(model.table()[entry], reorder);
    const DType from_type = source.type(), to_type = copy.types[entry];
    const RowConverter converter({.from = from_type,
                                  .to = to_type,
                                  .width = static_cast<size_t>(rows.width),
                                  .weights = copy.weights.empty() ? std::span<const float>() : copy.weights[entry],
                                  .matrix = model.table()[entry].IsMatrix(),
                                  .refuse_non_finite = copy.refuse_non_finite,
                                  .where = source.where()});
    const size_t from_row = BytesOf(from_type, rows.width), to_row = BytesOf(to_type, rows.width);
    // One row of a vector may be long, but is small beside a matrix.
    const int64_t per_piece = std::max<int64_t>(1, kPieceElements / std::max<int64_t>(1, rows.width));
    const size_t pieces = static_cast<size_t>((rows.rows + per_piece - 1) / per_piece);
    copy.pool->ForEach(pieces, [&](size_t piece, size_t) {
      if (copy.checkpoint) copy.checkpoint();
      const int64_t begin = static_cast<int64_t>(piece) * per_piece;
      const int64_t end = std::min(rows.rows, begin + per_piece);
      std::vector<std::byte> out(static_cast<size_t>(end - begin) * to_row);
      std::vector<float> floats(converter.ScratchFloats());
      for (int64_t row = begin; row < end; ++row) {
        const int64_t at = rows.permuted ? QkvRow(model.config(), model.qkv_order(), copy.qkv_order, row) : row;
        const std::byte* from = source.data() + static_cast<size_t>(at) * from_row;
        std::byte* to = out.data() + static_cast<size_t>(row - begin) * to_row;
        converter.Convert(at, from, floats, to);
      }
      if (!rows.permuted) {
        source.Release(static_cast<size_t>(begin) * from_row, static_cast<size_t>(end - begin) * from_row);
      }
      sink(entry, static_cast<uint64_t>(begin) * to_row, out);
      if (copy.progress) copy.progress->Add(static_cast<uint64_t>(end - begin) * from_row);
    });
  }
}

bool IsExactAs(const ModelFolder& model, size_t entry, DType type) {
  const Source source(model.FileOf(entry), model.TensorOf(entry));
  const size_t n = static_cast<size_t>(model.TensorOf(entry).shape.NumElements());
  if (source.type() == type) return true;
  const size_t from_size = BytesOf(source.type());
  std::vector<std::byte> narrow(n * BytesOf(type)), back(n * from_size);
  ConvertValues(source.data(), source.type(), narrow.data(), type, n);
  if (source.type() == DType::kF64) return false;
  ConvertValues(narrow.data(), type, back.data(), source.type(), n);
  return std::memcmp(back.data(), source.data(), back.size()) == 0;
}

}  // namespace stablelm
