#include "train/optimizer_file.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "ops/packed_matrix.h"
#include "train/file_rows.h"

namespace stablelm {
namespace {

constexpr int64_t kPiece = static_cast<int64_t>(kPanelRows);  // panels are read most quickly whole

constexpr const char* kOtherRun = "the file is of another run: resume from a checkpoint of this one";

int64_t PiecesOf(const FileRows& rows) { return (rows.rows() + kPiece - 1) / kPiece; }

}  // namespace

OptimizerFile::OptimizerFile(const Parameters& parameters, bool masters) : parameters_(parameters) {
  struct Kind {
    Array array;
    const char* prefix;
  };
  constexpr Kind kKinds[] = {
      {Array::kMaster, "master."}, {Array::kFirstMoment, "first_moment."}, {Array::kSecondMoment, "second_moment."}};
  for (const Kind& kind : kKinds) {
    if (kind.array == Array::kMaster && !masters) continue;
    for (size_t e = 0; e < parameters.table().entries().size(); ++e) {
      const Parameter& p = parameters.table().entries()[e];
      if (!p.trained) continue;
      entries_.push_back({kind.prefix + p.weight.name, DType::kF32, p.weight.shape});
      tensors_.push_back({e, kind.array});
    }
  }
}

uint64_t OptimizerFile::bytes() const {
  uint64_t bytes = 0;
  for (const SafetensorsEntry& entry : entries_) bytes += BytesOf(DType::kF32, entry.shape.NumElements());
  return bytes;
}

std::span<const float> OptimizerFile::ArrayOf(const Parameters& parameters, Array array) {
  switch (array) {
    case Array::kMaster:
      return parameters.masters();
    case Array::kFirstMoment:
      return parameters.first_moments();
    default:
      return parameters.second_moments();
  }
}

void OptimizerFile::Write(SafetensorsWriter& writer, ThreadPool& pool, const std::function<void()>& on_piece) const {
  std::vector<std::vector<float>> buffers(pool.NumThreads());
  for (size_t t = 0; t < tensors_.size(); ++t) {
    const FileRows rows(parameters_, tensors_[t].entry);
    const auto width = static_cast<size_t>(rows.width());
    pool.ForEach(static_cast<size_t>(PiecesOf(rows)), [&](size_t piece, size_t worker) {
      if (on_piece) on_piece();
      const int64_t begin = static_cast<int64_t>(piece) * kPiece, count = std::min(kPiece, rows.rows() - begin);
      std::vector<float>& buffer = buffers[worker];
      buffer.resize(static_cast<size_t>(count) * width);
      for (int64_t i = 0; i < count; ++i) {
        rows.Read(ArrayOf(parameters_, tensors_[t].array), begin + i, buffer.data() + static_cast<size_t>(i) * width);
      }
      writer.WriteAt(t, static_cast<uint64_t>(begin) * width * sizeof(float), std::as_bytes(std::span(buffer)));
    });
  }
}

void OptimizerFile::Load(const SafetensorsFile& file, const std::string& where, Parameters& parameters,
                         ThreadPool& pool) const {
  STABLELM_CHECK(&parameters == &parameters_);
  if (file.header().tensors.size() != entries_.size()) {
    throw Error({.where = where,
                 .what = "wrong number of tensors for the parameters that are trained",
                 .found = std::to_string(file.header().tensors.size()),
                 .expected = std::to_string(entries_.size()),
                 .hint = kOtherRun});
  }
  const auto array_of = [&](Array array) {
    return array == Array::kMaster        ? parameters.masters()
           : array == Array::kFirstMoment ? parameters.first_moments()
                                          : parameters.second_moments();
  };
  for (size_t t = 0; t < tensors_.size(); ++t) {
    const TensorView tensor = file.Get(entries_[t].name);
    if (tensor.dtype != DType::kF32 || !(tensor.shape == entries_[t].shape)) {
      throw Error({.where = where + ": tensor " + Quoted(entries_[t].name),
                   .what = "wrong type or shape",
                   .found = std::string(NameOf(tensor.dtype)) + " " + tensor.shape.ToString(),
                   .expected = "fp32 " + entries_[t].shape.ToString(),
                   .hint = kOtherRun});
    }
    const FileRows rows(parameters, tensors_[t].entry);
    const size_t row_bytes = static_cast<size_t>(rows.width()) * sizeof(float);
    pool.ForEach(static_cast<size_t>(PiecesOf(rows)), [&](size_t piece, size_t) {
      std::vector<float> row(static_cast<size_t>(rows.width()));
      const int64_t begin = static_cast<int64_t>(piece) * kPiece;
      for (int64_t r = begin; r < std::min(begin + kPiece, rows.rows()); ++r) {
        std::memcpy(row.data(), tensor.data + static_cast<size_t>(r) * row_bytes, row_bytes);
        rows.Set(array_of(tensors_[t].array), r, row.data());
      }
    });
  }
}

}  // namespace stablelm
