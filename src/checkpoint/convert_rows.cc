#include "checkpoint/convert_rows.h"

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace stablelm {
namespace {

constexpr int64_t kPieceElements = int64_t{1} << 18;

// Buffers of one thread, allocated at its first piece.
struct WorkerBuffers {
  AlignedBuffer<std::byte> rows;
  std::vector<float> scratch;
};

}  // namespace

StoredRows::StoredRows(const WeightFile& file, const StoredTensor& tensor) : file_(file), tensor_(tensor) {
  const bool matrix = tensor.shape.rank() == 2;
  source_ = {.type = *tensor.dtype,
             .rows = matrix ? tensor.shape[0] : 1,
             .width = matrix ? tensor.shape[1] : tensor.shape.NumElements(),
             .matrix = matrix,
             .where = file.map->path().string() + ": tensor " + Quoted(tensor.name)};
  if (tensor.contiguous()) {
    source_.data = file.map->bytes().data() + tensor.offset;
    source_.release = [this](size_t begin, size_t bytes) { file_.map->Release(tensor_.offset + begin, bytes); };
    return;
  }
  gathered_ = AlignedBuffer<std::byte>(tensor.bytes, tensor.name.c_str());
  GatherTensor(tensor, file.map->bytes(), gathered_.span());
  source_.data = gathered_.data();
}

StoredRows::~StoredRows() { file_.map->Release(tensor_.offset, tensor_.bytes); }

void ConvertRows(const RowSource& source, const RowConversion& conversion, const RowSink& sink) {
  if (source.rows == 0 || source.width == 0) return;
  const RowConverter converter({.from = source.type,
                                .to = conversion.type,
                                .width = static_cast<size_t>(source.width),
                                .weights = conversion.weights,
                                .matrix = source.matrix,
                                .non_finite = conversion.non_finite,
                                .where = source.where});
  const size_t from_row = BytesOf(source.type, source.width), to_row = BytesOf(conversion.type, source.width);
  // A vector is a single long row, but small compared to a matrix.
  const int64_t groups = std::max<int64_t>(1, kPieceElements / (source.width * conversion.group));
  const int64_t per_piece = groups * conversion.group;
  const size_t pieces = static_cast<size_t>((source.rows + per_piece - 1) / per_piece);
  // Unchanged rows go to the sink directly, without a copy.
  const bool as_stored = converter.Copies() && !conversion.row_of;

  std::vector<WorkerBuffers> buffers(conversion.pool ? conversion.pool->NumThreads() : 1);
  const auto convert = [&](int64_t begin, int64_t end, WorkerBuffers& own) -> const std::byte* {
    if (as_stored) return source.data + static_cast<size_t>(begin) * from_row;
    if (own.rows.size() == 0) {
      own.rows =
          AlignedBuffer<std::byte>(static_cast<size_t>(std::min(per_piece, source.rows)) * to_row, "converted rows");
      own.scratch.resize(converter.ScratchFloats());
    }
    for (int64_t row = begin; row < end; ++row) {
      const int64_t from = conversion.row_of ? conversion.row_of(row) : row;
      converter.Convert(from, source.data + static_cast<size_t>(from) * from_row, own.scratch,
                        own.rows.data() + static_cast<size_t>(row - begin) * to_row);
    }
    return own.rows.data();
  };
  const auto run = [&](size_t piece, size_t worker) {
    if (conversion.checkpoint) conversion.checkpoint();
    const int64_t begin = static_cast<int64_t>(piece) * per_piece, end = std::min(source.rows, begin + per_piece);
    const size_t count = static_cast<size_t>(end - begin);
    sink(begin, {convert(begin, end, buffers[worker]), count * to_row});
    if (source.release && !conversion.row_of) source.release(static_cast<size_t>(begin) * from_row, count * from_row);
    if (conversion.progress) conversion.progress->Add(count * from_row);
  };
  if (conversion.pool && pieces > 1) {
    conversion.pool->ForEach(pieces, run);
  } else {
    for (size_t piece = 0; piece < pieces; ++piece) run(piece, 0);
  }
}

}  // namespace stablelm
