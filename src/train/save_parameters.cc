#include "train/save_parameters.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "checkpoint/huggingface/writer.h"
#include "ops/packed_matrix.h"
#include "ops/row_converter.h"
#include "train/file_rows.h"

namespace stablelm {
namespace {

// Buffers of one thread, which grow to the largest piece.
struct Buffers {
  std::vector<float> row;
  std::vector<std::byte> converted;
};

class EntryCopy {
 public:
  EntryCopy(const Parameters& parameters, size_t entry, DType dtype)
      : entry_(entry),
        rows_(parameters, entry),
        row_bytes_(BytesOf(dtype, rows_.width())),
        converter_({.from = DType::kF32,
                    .to = dtype,
                    .width = static_cast<size_t>(rows_.width()),
                    .matrix = parameters.table().entries()[entry].weight.IsMatrix(),
                    .non_finite = NonFinite::kRefuse,
                    .where = "tensor " + Quoted(parameters.table().entries()[entry].weight.name)}) {}

  // Panels are read most quickly whole.
  int64_t pieces() const { return (rows_.rows() + kPiece - 1) / kPiece; }
  void Copy(int64_t piece, Buffers& own, const ParameterCopy& copy, const TensorSink& sink) const {
    const int64_t begin = piece * kPiece, count = std::min(kPiece, rows_.rows() - begin);
    own.row.resize(static_cast<size_t>(rows_.width()));
    own.converted.resize(static_cast<size_t>(count) * row_bytes_);
    for (int64_t i = 0; i < count; ++i) {
      rows_.Read({}, begin + i, own.row.data());
      converter_.Convert(begin + i, reinterpret_cast<const std::byte*>(own.row.data()), {},
                         own.converted.data() + static_cast<size_t>(i) * row_bytes_);
    }
    sink(entry_, static_cast<uint64_t>(begin) * row_bytes_, own.converted);
    if (copy.progress) copy.progress->Add(own.converted.size());
  }

 private:
  static constexpr int64_t kPiece = static_cast<int64_t>(kPanelRows);

  const size_t entry_;
  const FileRows rows_;
  const size_t row_bytes_;
  const RowConverter converter_;
};

}  // namespace

void CopyParameters(const Parameters& parameters, const ParameterCopy& copy, const TensorSink& sink) {
  STABLELM_CHECK(copy.pool);
  std::vector<Buffers> buffers(copy.pool->NumThreads());
  for (size_t e = 0; e < parameters.table().entries().size(); ++e) {
    const EntryCopy entry(parameters, e, copy.dtype);
    copy.pool->ForEach(static_cast<size_t>(entry.pieces()), [&](size_t piece, size_t worker) {
      if (copy.checkpoint) copy.checkpoint();
      entry.Copy(static_cast<int64_t>(piece), buffers[worker], copy, sink);
    });
  }
}

void SaveParameters(const Parameters& parameters, const std::filesystem::path& out, const SaveOptions& options,
                    ThreadPool& pool) {
  FolderWriter writer(out, parameters.config(), {.dtype = options.dtype, .max_shard_bytes = options.max_shard_bytes});
  if (!options.tokenizer.empty()) writer.CopyTokenizer(options.tokenizer);
  for (const auto& [name, text] : options.texts) writer.WriteText(name, text);
  Progress progress("Saving weights", writer.TotalBytes(), Progress::Unit::kBytes, options.show_progress);
  CopyParameters(
      parameters, {.dtype = options.dtype, .pool = &pool, .progress = &progress, .checkpoint = options.checkpoint},
      [&](size_t entry, uint64_t offset, std::span<const std::byte> bytes) { writer.WriteAt(entry, offset, bytes); });
  progress.Finish();
  writer.Commit();
}

}  // namespace stablelm
