#include "checkpoint/rewrite/importance.h"

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/gguf_writer.h"

namespace stablelm {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";

[[noreturn]] void Fail(const GgufFile& file, const std::string& tensor, const std::string& what,
                       const std::string& found = {}, const std::string& expected = {}) {
  throw Error({.where = file.path().string() + (tensor.empty() ? "" : ": tensor " + Quoted(tensor)),
               .what = what,
               .found = found,
               .expected = expected});
}

std::vector<float> Floats(const GgufFile& file, const StoredTensor& tensor) {
  if (tensor.dtype != DType::kF32) Fail(file, tensor.name, "wrong type", tensor.stored_as, "F32");
  std::vector<float> values(static_cast<size_t>(tensor.shape.NumElements()));
  if (!values.empty()) std::memcpy(values.data(), file.map().bytes().data() + tensor.offset, tensor.bytes);
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]) || values[i] < 0) {
      Fail(file, tensor.name, "value " + std::to_string(i) + " is not a finite number of at least 0",
           std::to_string(values[i]));
    }
  }
  return values;
}

}  // namespace

ImportanceMatrix ReadImportance(const std::filesystem::path& path) {
  const GgufFile file(path);
  const GgufHeader& header = file.header();
  const auto type = header.Text("general.type");
  if (type != "imatrix") {
    Fail(file, {}, "not an importance matrix", type ? "general.type " + Quoted(*type) : "no general.type",
         "\"imatrix\"");
  }
  std::map<std::string_view, const StoredTensor*> by_name;
  for (const StoredTensor& tensor : header.tensors) by_name[tensor.name] = &tensor;

  ImportanceMatrix matrix;
  for (const StoredTensor& tensor : header.tensors) {
    if (!tensor.name.ends_with(kSums)) continue;
    const std::string name = tensor.name.substr(0, tensor.name.size() - kSums.size());
    const auto counts = by_name.find(name + std::string(kCounts));
    if (counts == by_name.end()) Fail(file, tensor.name, "its counts are missing", {}, name + std::string(kCounts));
    const std::vector<float> count = Floats(file, *counts->second);
    if (count.size() != 1) {
      Fail(file, counts->second->name, "wrong shape", counts->second->shape.ToString(), "[1]: no model with experts");
    }
    std::vector<float> columns = Floats(file, tensor);
    if (count[0] == 0) continue;  // the calibration text never used this matrix
    for (float& value : columns) value /= count[0];
    matrix.columns[name] = std::move(columns);
  }
  if (matrix.columns.empty()) Fail(file, {}, "no importance in this file", {}, "tensors NAME.in_sum2 and NAME.counts");
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
  GgufWriter writer(path, metadata, entries);
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
