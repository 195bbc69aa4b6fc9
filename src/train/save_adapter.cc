#include "train/save_adapter.h"

#include <algorithm>

#include "base/error.h"
#include "checkpoint/convert_rows.h"
#include "checkpoint/huggingface/writer.h"
#include "checkpoint/rewrite/tensor_copy.h"
#include "generate/batch/run_record.h"
#include "ops/row_converter.h"

namespace stablelm {
namespace {

// The adapted matrix of an adapter's entry.
const WeightEntry& BaseOf(const ParameterTable& table, const Parameter& p) {
  return table.Find(p.weight.kind, p.weight.layer).weight;
}

std::string PeftName(const ParameterTable& table, const Parameter& p) {
  const AdapterTensorNames names = AdapterNamesOf(BaseOf(table, p));
  return p.part == AdapterPart::kA ? names.a : names.b;
}

// The row in memory of row `row` of the file.
int64_t RowInMemory(const Parameters& parameters, const Parameter& p, int64_t row) {
  if (p.part != AdapterPart::kB || p.weight.kind != WeightKind::kQkvWeight) return row;
  return QkvRow(parameters.config(), parameters.qkv_order(), QkvOrder::kPerHead, row);
}

}  // namespace

std::string AdapterConfigOf(const LoraOptions& lora, const std::string& base) {
  AdapterConfig config = {
      .rank = lora.rank, .alpha = lora.alpha, .dropout = lora.dropout, .rslora = lora.rslora, .base = base};
  for (const WeightKind target : lora.targets) config.targets.names.emplace_back(LoraTargetName(target));
  return AdapterConfigText(config);
}

std::vector<SafetensorsEntry> AdapterTensors(const Parameters& parameters, DType dtype) {
  std::vector<SafetensorsEntry> entries;
  for (const Parameter& p : parameters.table().entries()) {
    if (p.part != AdapterPart::kNone) {
      entries.push_back({PeftName(parameters.table(), p), dtype, p.weight.shape});
    }
  }
  return entries;
}

void CopyAdapters(const Parameters& parameters, DType dtype, SafetensorsWriter& writer,
                  const std::function<void()>& on_piece) {
  const ParameterTable& table = parameters.table();
  size_t tensor = 0;
  for (size_t e = 0; e < table.entries().size(); ++e) {
    const Parameter& p = table.entries()[e];
    if (p.part == AdapterPart::kNone) continue;
    if (on_piece) on_piece();
    const int64_t rows = p.weight.shape[0], width = p.weight.shape[1];
    const size_t row_bytes = BytesOf(dtype, width);
    const RowConverter converter({.from = DType::kF32,
                                  .to = dtype,
                                  .width = static_cast<size_t>(width),
                                  .matrix = true,
                                  .non_finite = NonFinite::kRefuse,
                                  .where = "tensor " + Quoted(p.weight.name)});
    std::vector<float> row(static_cast<size_t>(width));
    std::vector<std::byte> converted(static_cast<size_t>(rows) * row_bytes);
    for (int64_t n = 0; n < rows; ++n) {
      parameters.ReadRow(e, RowInMemory(parameters, p, n), row.data());
      converter.Convert(n, reinterpret_cast<const std::byte*>(row.data()), {},
                        converted.data() + static_cast<size_t>(n) * row_bytes);
    }
    writer.WriteAt(tensor++, 0, converted);
  }
}

void SaveAdapter(const Parameters& parameters, const std::string& base, const std::filesystem::path& out,
                 const SaveOptions& options) {
  STABLELM_CHECK(parameters.table().lora());
  FolderWriter writer(out);
  writer.WriteText(kAdapterConfigFile, AdapterConfigOf(*parameters.table().lora(), base));
  for (const auto& [name, text] : options.texts) writer.WriteText(name, text);
  SafetensorsWriter& tensors = writer.AddTensors(kAdapterWeightsFile, AdapterTensors(parameters, options.dtype));
  CopyAdapters(parameters, options.dtype, tensors, options.checkpoint);
  writer.Commit();
}

std::string DescribeBase(const std::filesystem::path& base, const std::map<std::string, std::string>& hashes) {
  std::string text = "`" + base.string() + "`\n\n| file | SHA-256 |\n|---|---|\n";
  for (const auto& [name, hash] : hashes) text += "| " + name + " | " + hash + " |\n";
  return text;
}

void LoadAdapter(const AdapterFolder& folder, Parameters& parameters) {
  const ParameterTable& table = parameters.table();
  STABLELM_CHECK(table.lora());
  const std::vector<AdaptedMatrix> matrices = folder.Match(parameters.config());
  const auto differs = [&](const std::string& found, const std::string& expected) {
    throw Error({.where = folder.path().string(),
                 .what = "the adapter is not of this run",
                 .found = found,
                 .expected = expected,
                 .hint = "resume from a checkpoint of this run"});
  };
  const size_t wanted = AdapterTensors(parameters, DType::kF32).size();
  if (2 * matrices.size() != wanted) {
    differs(std::to_string(matrices.size()) + " adapted matrices", std::to_string(wanted / 2));
  }
  for (const AdaptedMatrix& matrix : matrices) {
    for (const AdapterPart part : {AdapterPart::kA, AdapterPart::kB}) {
      const Parameter* const p = table.FindAdapter(matrix.entry.kind, matrix.entry.layer, part);
      const StoredTensor& tensor = part == AdapterPart::kA ? *matrix.a : *matrix.b;
      if (!p) differs("an adapter of " + matrix.entry.name, "none");
      if (tensor.shape != p->weight.shape) {
        differs(tensor.name + " " + tensor.shape.ToString(), p->weight.shape.ToString());
      }
      const size_t e = static_cast<size_t>(p - table.entries().data());
      const size_t width = static_cast<size_t>(p->weight.shape[1]);
      const StoredRows stored(folder.file(), tensor);
      ConvertRows(stored.source(), {.type = DType::kF32, .non_finite = NonFinite::kRefuse},
                  [&](int64_t first, std::span<const std::byte> bytes) {
                    const std::span values(reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float));
                    for (size_t i = 0; i < values.size() / width; ++i) {
                      const int64_t row = RowInMemory(parameters, *p, first + static_cast<int64_t>(i));
                      parameters.Set(e, static_cast<size_t>(row) * width, values.subspan(i * width, width));
                    }
                  });
    }
  }
}

}  // namespace stablelm
