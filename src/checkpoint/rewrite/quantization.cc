#include "checkpoint/rewrite/quantization.h"

#include "base/counted.h"
#include "base/error.h"
#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/rewrite/gguf_metadata.h"
#include "checkpoint/rewrite/tensor_copy.h"
#include "ops/quant/quant_row.h"

namespace stablelm {

QuantizedSize SizeOfQuantized(const ModelFolder& model, const std::vector<DType>& types) {
  QuantizedSize size;
  size.source_bytes = SourceBytes(model);
  for (const DType type :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ6_K, DType::kQ5_K, DType::kQ4_K, DType::kQ4_0}) {
    SizeOfType of_type;
    for (size_t i = 0; i < types.size(); ++i) {
      if (types[i] != type) continue;
      const int64_t elements = model.table()[i].shape.NumElements();
      ++of_type.tensors;
      of_type.elements += static_cast<uint64_t>(elements);
      of_type.bytes += BytesOf(type, elements);
    }
    if (of_type.tensors == 0) continue;
    size.elements += of_type.elements;
    size.bytes += of_type.bytes;
    size.types.emplace_back(type, of_type);
  }
  return size;
}

size_t CountRequantized(const ModelFolder& model, const std::vector<DType>& types) {
  size_t again = 0;
  for (size_t i = 0; i < types.size(); ++i) {
    const DType stored = *model.TensorOf(i).dtype;
    again += IsQuantized(stored) && IsQuantized(types[i]) && stored != types[i] ? 1 : 0;
  }
  return again;
}

ColumnWeights WeighColumns(const ModelFolder& model, const std::vector<DType>& types,
                           const ImportanceMatrix& importance, const std::string& where) {
  ColumnWeights out;
  out.weights.resize(types.size());
  for (size_t i = 0; i < types.size(); ++i) {
    if (!IsQuantized(types[i])) continue;
    ++out.quantized;
    const std::string name = GgufTensorName(model.table()[i]);
    const auto found = importance.columns.find(name);
    if (found == importance.columns.end()) continue;
    const auto columns = static_cast<size_t>(model.table()[i].shape[1]);
    if (found->second.size() != columns) {
      throw Error({.where = where + ": " + Quoted(name),
                   .what = "the importance is of another model",
                   .found = Counted(found->second.size(), "column"),
                   .expected = Counted(columns, "column"),
                   .hint = "measure it for this model: stablelm imatrix MODEL --file TEXT -o imatrix.gguf"});
    }
    out.weights[i] = ImportanceWeights(found->second);
    out.used += out.weights[i].empty() ? 0 : 1;
  }
  if (out.used > 0) return out;
  throw Error({.where = where,
               .what = "has nothing for the matrices of this model",
               .found = "importance of " + std::to_string(importance.columns.size()) + " other matrices",
               .hint = "is it of another model?"});
}

GgufMetadata QuantizedMetadata(const ModelFolder& model, const QuantizedBy& by, std::vector<std::string>* warnings) {
  GgufMetadata metadata = GgufMetadataOf(model, warnings);
  for (const char* key : {"stablelm.quantize.type", "stablelm.quantize.rules", "quantize.imatrix.file"}) {
    metadata.Remove(key);
  }
  metadata.Set<uint32_t>("general.file_type", by.mix->file_type);
  metadata.Set<uint32_t>("general.quantization_version", 2);
  metadata.SetText("stablelm.quantize.type", by.mix->name);
  std::vector<std::string> rules;
  for (const TensorRule& rule : by.rules) rules.push_back(rule.pattern + "=" + std::string(GgufNameOf(rule.type)));
  if (!rules.empty()) metadata.SetTexts("stablelm.quantize.rules", rules);
  if (!by.importance.empty()) metadata.SetText("quantize.imatrix.file", by.importance);
  return metadata;
}

}  // namespace stablelm
