#include "checkpoint/adapter/adapter_writer.h"

#include <vector>

#include "base/atomic_file.h"
#include "checkpoint/adapter/adapter_folder.h"
#include "checkpoint/huggingface/safetensors_writer.h"
#include "checkpoint/rewrite/tensor_copy.h"
#include "ops/row_converter.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

struct Tensor {
  const MatrixToAdapt& matrix;
  bool b;
};

}  // namespace

void WriteAdapter(const fs::path& folder, const AdapterToWrite& adapter, const fs::path& shown) {
  const auto shown_as = [&](const char* name) { return shown.empty() ? fs::path() : shown / name; };
  const int64_t r = adapter.config.rank;
  std::vector<SafetensorsEntry> entries;
  std::vector<Tensor> tensors;
  for (const MatrixToAdapt& matrix : adapter.matrices) {
    const AdapterTensorNames names = AdapterNamesOf(matrix.entry);
    entries.push_back({names.a, adapter.type, {r, matrix.entry.shape[1]}});
    tensors.push_back({matrix, false});
    entries.push_back({names.b, adapter.type, {matrix.entry.shape[0], r}});
    tensors.push_back({matrix, true});
  }
  constexpr const char* kWeights = "adapter_model.safetensors";
  SafetensorsWriter writer(folder / kWeights, entries, {{"format", "pt"}}, shown_as(kWeights));
  std::vector<float> row;
  std::vector<std::byte> rounded;
  for (size_t i = 0; i < entries.size(); ++i) {
    const int64_t rows = entries[i].shape[0], width = entries[i].shape[1];
    const auto& [matrix, b] = tensors[i];
    const bool moves = b && matrix.entry.kind == WeightKind::kQkvWeight;
    const RowConverter convert({.to = adapter.type,
                                .width = static_cast<size_t>(width),
                                .matrix = true,
                                .non_finite = NonFinite::kRefuse,
                                .where = "tensor \"" + entries[i].name + "\""});
    const size_t row_bytes = BytesOf(adapter.type, width);
    row.resize(static_cast<size_t>(width));
    rounded.resize(row_bytes);
    for (int64_t n = 0; n < rows; ++n) {
      const int64_t from = moves ? QkvRow(adapter.model, adapter.qkv_order, QkvOrder::kPerHead, n) : n;
      (b ? matrix.read_b : matrix.read_a)(from, row.data());
      convert.Convert(n, reinterpret_cast<const std::byte*>(row.data()), {}, rounded.data());
      writer.WriteAt(i, static_cast<uint64_t>(n) * row_bytes, rounded);
    }
  }
  writer.Commit();
  constexpr const char* kConfig = "adapter_config.json";
  WriteTextFileAtomically(folder / kConfig, AdapterConfigText(adapter.config), shown_as(kConfig));
}

}  // namespace stablelm
