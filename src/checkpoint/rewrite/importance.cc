#include "checkpoint/rewrite/importance.h"

#include <cmath>
#include <cstring>

#include "base/counted.h"
#include "base/error.h"
#include "base/file_kind.h"
#include "base/mapped_file.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/gguf_locate.h"
#include "checkpoint/gguf/gguf_writer.h"

namespace stablelm {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
constexpr const char* kOtherFile =
    "an importance matrix is a GGUF file of `stablelm imatrix` or llama.cpp's, or its older .dat";

[[noreturn]] void FailMatrix(const GgufFile& file, const std::string& tensor, const std::string& what,
                             const std::string& found = {}, const std::string& expected = {}) {
  throw Error({.where = file.path().string() + (tensor.empty() ? "" : ": tensor " + Quoted(tensor)),
               .what = what,
               .found = found,
               .expected = expected,
               .hint = kOtherFile});
}

std::vector<float> Floats(const GgufFile& file, const StoredTensor& tensor) {
  if (tensor.dtype != DType::kF32) FailMatrix(file, tensor.name, "wrong type", tensor.stored_as, "F32");
  std::vector<float> values(static_cast<size_t>(tensor.shape.NumElements()));
  if (!values.empty()) std::memcpy(values.data(), file.map().bytes().data() + tensor.offset, tensor.bytes);
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]) || values[i] < 0) {
      FailMatrix(file, tensor.name, "value " + std::to_string(i) + " is not a finite number of at least 0",
                 std::to_string(values[i]));
    }
  }
  return values;
}

// Reads a .dat file from its beginning to its end.
class DatReader {
 public:
  explicit DatReader(const MappedFile& file) : file_(file) {}

  ImportanceMatrix Read() {
    const int32_t matrices = Count("the number of matrices", 1, kMaxMatrices);
    ImportanceMatrix out;
    for (int32_t i = 0; i < matrices; ++i) ReadMatrix(i, out);
    if (out.columns.empty()) Fail("the matrices", "none of them was used");
    if (left() > 0) Count("the number of chunks", 0, INT32_MAX);
    if (left() > 0) Bytes("the name of the text", Count("the name of the text", 0, kMaxNameBytes));
    if (left() > 0) {
      Fail("the end", "more bytes than an importance matrix has", Counted(left(), "byte") + " left over");
    }
    return out;
  }

 private:
  static constexpr int32_t kMaxMatrices = 100'000, kMaxNameBytes = 4096;

  size_t left() const { return file_.size() - at_; }

  [[noreturn]] void Fail(const std::string& field, const std::string& what, const std::string& found = {},
                         const std::string& expected = {}) const {
    throw Error({.where = file_.path().string() + ": " + field + " (byte " + std::to_string(at_) + ")",
                 .what = what,
                 .found = found,
                 .expected = expected,
                 .hint = kOtherFile});
  }

  std::string_view Bytes(const std::string& field, int64_t bytes) {
    if (static_cast<uint64_t>(bytes) > left()) {
      Fail(field, "reaches past the end of the file: truncated, or no importance matrix",
           "a file of " + Counted(file_.size(), "byte"),
           "at least " + std::to_string(at_ + static_cast<uint64_t>(bytes)));
    }
    const std::string_view read = file_.text().substr(at_, static_cast<size_t>(bytes));
    at_ += read.size();
    return read;
  }

  int32_t Count(const std::string& field, int32_t min, int32_t max) {
    const std::string_view bytes = Bytes(field, sizeof(int32_t));
    int32_t value;
    std::memcpy(&value, bytes.data(), sizeof value);
    if (value >= min && value <= max) return value;
    at_ -= sizeof value;
    Fail(field, "no importance matrix, or damaged", std::to_string(value),
         std::to_string(min) + " to " + std::to_string(max));
  }

  void ReadMatrix(int32_t index, ImportanceMatrix& out) {
    const std::string numbered = "matrix " + std::to_string(index);
    const std::string name(Bytes(numbered, Count(numbered, 1, kMaxNameBytes)));
    const std::string field = "matrix " + Quoted(name);
    const int32_t calls = Count(field, 0, INT32_MAX);
    const int32_t columns = Count(field, 0, INT32_MAX);
    const std::string_view bytes = Bytes(field, int64_t{columns} * static_cast<int64_t>(sizeof(float)));
    std::vector<float> sums(static_cast<size_t>(columns));
    if (!sums.empty()) std::memcpy(sums.data(), bytes.data(), bytes.size());
    for (size_t i = 0; i < sums.size(); ++i) {
      if (!std::isfinite(sums[i]) || sums[i] < 0) {
        Fail(field, "value " + std::to_string(i) + " is not a finite number of at least 0", std::to_string(sums[i]));
      }
      if (calls > 0) sums[i] /= static_cast<float>(calls);
    }
    if (calls == 0) return;  // the calibration text never used this matrix
    if (!out.columns.emplace(name, std::move(sums)).second) Fail(field, "appears twice");
  }

  const MappedFile& file_;
  size_t at_ = 0;
};

}  // namespace

ImportanceMatrix ReadImportance(const std::filesystem::path& path) {
  if (!HasGgufMagic(path)) {
    const MappedFile dat(path);
    RefuseOtherKind(path.string(), dat.text(), FileKind::kUnknown);
    return DatReader(dat).Read();
  }
  const GgufFile file(path);
  const GgufHeader& header = file.header();
  const auto type = header.Text("general.type");
  if (type != "imatrix") {
    FailMatrix(file, {}, "not an importance matrix", type ? "general.type " + Quoted(*type) : "no general.type",
               "\"imatrix\"");
  }
  std::map<std::string_view, const StoredTensor*> by_name;
  for (const StoredTensor& tensor : header.tensors) by_name[tensor.name] = &tensor;

  ImportanceMatrix matrix;
  for (const StoredTensor& tensor : header.tensors) {
    if (!tensor.name.ends_with(kSums)) continue;
    const std::string name = tensor.name.substr(0, tensor.name.size() - kSums.size());
    const auto counts = by_name.find(name + std::string(kCounts));
    if (counts == by_name.end())
      FailMatrix(file, tensor.name, "its counts are missing", {}, name + std::string(kCounts));
    const std::vector<float> count = Floats(file, *counts->second);
    if (count.size() != 1) {
      FailMatrix(file, counts->second->name, "wrong shape", counts->second->shape.ToString(),
                 "[1]: no model with experts");
    }
    std::vector<float> columns = Floats(file, tensor);
    if (count[0] == 0) continue;  // the calibration text never used this matrix
    for (float& value : columns) value /= count[0];
    matrix.columns[name] = std::move(columns);
  }
  if (matrix.columns.empty())
    FailMatrix(file, {}, "no importance in this file", {}, "tensors NAME.in_sum2 and NAME.counts");
  return matrix;
}

void WriteImportance(const std::filesystem::path& path, std::span<const ImportanceSums> matrices,
                     const ImportanceOrigin& origin) {
  GgufMetadata metadata;
  metadata.SetText("general.type", "imatrix");
  metadata.SetTexts("imatrix.datasets", std::vector<std::string>{origin.text});
  metadata.Set<uint32_t>("imatrix.chunk_count", origin.chunks);
  metadata.Set<uint32_t>("imatrix.chunk_size", origin.chunk_tokens);
  std::vector<GgufTensorEntry> entries;
  for (const ImportanceSums& matrix : matrices) {
    const auto columns = static_cast<int64_t>(matrix.squares.size());
    entries.push_back({matrix.name + std::string(kSums), DType::kF32, {1, columns}});  // one row: no experts
    entries.push_back({matrix.name + std::string(kCounts), DType::kF32, {1, 1}});
  }
  GgufWriter writer(path, metadata, entries, /*replace=*/false);
  for (size_t i = 0; i < matrices.size(); ++i) {
    const ImportanceSums& matrix = matrices[i];
    std::vector<float> sums;
    for (const double value : matrix.squares) {
      sums.push_back(static_cast<float>(value));
      if (std::isfinite(sums.back())) continue;
      throw Error({.where = "matrix " + Quoted(matrix.name),
                   .what = "the squares of the activations that it meets are too large for fp32",
                   .found = std::to_string(value),
                   .hint = "are these the weights of a trained model?"});
    }
    const auto count = static_cast<float>(matrix.tokens);
    writer.WriteAt(2 * i, 0, std::as_bytes(std::span(sums)));
    writer.WriteAt(2 * i + 1, 0, std::as_bytes(std::span(&count, 1)));
  }
  writer.Commit();
}

}  // namespace stablelm
