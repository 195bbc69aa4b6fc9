#include "checkpoint/tensor_copy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "checkpoint/convert_values.h"
#include "ops/quant/quant_row.h"

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

// Rows of one tensor from their stored type to another.
class RowConverter {
 public:
  struct Options {
    DType from = DType::kF32;
    DType to = DType::kF32;
    size_t width = 1;
    std::span<const float> weights = {};
    bool matrix = false;
    bool refuse_non_finite = false;
    std::string where;  // file and tensor, for errors
  };
  explicit RowConverter(Options options) : o_(std::move(options)) {}

  // Row number `row` at `from`; `floats` has the width of a row.
  void Convert(int64_t row, const std::byte* from, std::span<float> floats, std::byte* to) const {
    const size_t n = o_.width;
    if (IsQuantized(o_.to) && o_.from != o_.to) {
      ConvertValues(from, o_.from, reinterpret_cast<std::byte*>(floats.data()), DType::kF32, n);
      if (const size_t bad = FirstNotQuantizable(o_.to, floats); bad < n) Fail(row, bad, floats[bad]);
      EncodeRow(o_.to, floats, o_.weights, to);
      return;
    }
    ConvertValues(from, o_.from, to, o_.to, n);
    if (o_.from == o_.to && !o_.refuse_non_finite) return;
    if (FirstNonFiniteValue(to, o_.to, n) < n) RequireHeld(row, from, to);
  }

 private:
  // Values that are not finite must not have been before either, and are refused altogether when that was asked for.
  void RequireHeld(int64_t row, const std::byte* from, const std::byte* to) const {
    std::vector<float> before(o_.width), after(o_.width);
    ConvertValues(from, o_.from, reinterpret_cast<std::byte*>(before.data()), DType::kF32, o_.width);
    ConvertValues(to, o_.to, reinterpret_cast<std::byte*>(after.data()), DType::kF32, o_.width);
    for (size_t i = 0; i < o_.width; ++i)
      if (!std::isfinite(after[i]) && (o_.refuse_non_finite || std::isfinite(before[i]))) Fail(row, i, before[i]);
  }
  [[noreturn]] void Fail(int64_t row, size_t column, float value) const {
    throw Error({.where = o_.where,
                 .what = "the value at " +
                         (o_.matrix ? "row " + std::to_string(row) + ", column " + std::to_string(column)
                                    : "index " + std::to_string(row * static_cast<int64_t>(o_.width) +
                                                                static_cast<int64_t>(column))) +
                         " cannot be stored as " + std::string(NameOf(o_.to)),
                 .found = std::isnan(value) ? "NaN" : std::to_string(value),
                 .expected = {},
                 .hint = std::isfinite(value) ? "this tensor needs a type with a larger range, such as bf16 or fp32"
                                              : "the weights are damaged"});
  }

  const Options o_;
};

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
      std::vector<float> floats(IsQuantized(to_type) ? static_cast<size_t>(rows.width) : 0);
      for (int64_t row = begin; row < end; ++row) {
        const int64_t at = rows.permuted ? QkvRow(model.config(), model.qkv_order(), copy.qkv_order, row) : row;
        const std::byte* from = source.data() + static_cast<size_t>(at) * from_row;
        std::byte* to = out.data() + static_cast<size_t>(row - begin) * to_row;
        converter.Convert(at, from, floats, to);
      }
      if (!rows.permuted)
        source.Release(static_cast<size_t>(begin) * from_row, static_cast<size_t>(end - begin) * from_row);
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
