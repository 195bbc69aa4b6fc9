#include "checkpoint/rewrite/conversion.h"

#include <algorithm>

#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/gguf/gguf_parts.h"
#include "checkpoint/gguf/gguf_tokenizer.h"
#include "checkpoint/huggingface/tokenizer_writer.h"
#include "checkpoint/rewrite/gguf_metadata.h"
#include "checkpoint/rewrite/tensor_copy.h"

namespace stablelm {
namespace {

DType MatrixType(const StoredTensor& tensor, std::optional<DType> wanted, bool keep_quantized) {
  const DType stored = *tensor.dtype;
  if (wanted) return *wanted;
  if (IsQuantized(stored)) return keep_quantized ? stored : DType::kF32;
  return stored == DType::kF64 ? DType::kF32 : stored;
}

// Type of the norms and biases in the model that the GGUF file was converted from.
std::optional<DType> VectorType(const ModelFolder& model) {
  if (const GgufFile* gguf = model.source().gguf()) {
    if (const auto name = gguf->header().Text("stablelm.vector_type")) return FloatTypeFromName(*name);
  }
  const DType first = *model.TensorOf(0).dtype;
  if (first != DType::kF16 && first != DType::kBF16) return std::nullopt;
  for (size_t i = 0; i < model.table().size(); ++i) {
    if (model.table()[i].IsMatrix() && *model.TensorOf(i).dtype != first) return std::nullopt;
  }
  return first;
}

}  // namespace

std::vector<DType> TypesInGguf(const ModelFolder& model, std::optional<DType> wanted) {
  std::vector<DType> types;
  for (size_t i = 0; i < model.table().size(); ++i) {
    types.push_back(model.table()[i].IsMatrix() ? MatrixType(model.TensorOf(i), wanted, true) : DType::kF32);
  }
  return types;
}

std::vector<DType> TypesInFolder(const ModelFolder& model, std::optional<DType> wanted) {
  std::vector<DType> types;
  const std::optional<DType> vectors = wanted ? wanted : VectorType(model);
  for (size_t i = 0; i < model.table().size(); ++i) {
    const DType stored = *model.TensorOf(i).dtype;
    if (model.table()[i].IsMatrix()) {
      types.push_back(MatrixType(model.TensorOf(i), wanted, false));
    } else if (wanted) {
      types.push_back(*wanted);
    } else if (!model.source().gguf()) {
      types.push_back(stored == DType::kF64 ? DType::kF32 : stored);
    } else {
      types.push_back(vectors && IsExactAs(model, i, *vectors) ? *vectors : DType::kF32);
    }
  }
  return types;
}

GgufMetadata MetadataInGguf(const ModelFolder& model, const std::vector<DType>& types,
                            std::vector<std::string>* warnings) {
  GgufMetadata metadata = GgufMetadataOf(model, warnings);
  const GgufFile* gguf = model.source().gguf();
  if (gguf && std::ranges::any_of(types, IsQuantized)) {
    GgufMetadata all;
    for (const GgufEntry& entry : gguf->header().entries) {
      if (!IsSplitKey(entry.key)) all.Copy(entry);
    }
    all.Remove("general.alignment");
    return all;
  }
  if (gguf) {
    for (const GgufEntry& entry : gguf->header().entries) {
      if (entry.key.starts_with("stablelm.quantize.") || entry.key.starts_with("quantize.")) {
        metadata.Remove(entry.key);
      }
    }
  }
  // types[0] is the embedding's. Files with mixed float types are rare, and the key is only informative.
  metadata.Set<uint32_t>("general.file_type", GgufFileTypeOf(types[0]));
  return metadata;
}

void WriteSmallFiles(const ModelFolder& model, DType weights, FolderWriter& writer,
                     std::vector<std::string>* warnings) {
  const ModelSource& source = model.source();
  for (const CarriedFile& file : CarriedFiles()) {
    const auto text = ReadCarried(source, file, warnings);
    // Keep the model's config.json unchanged if it names the right type.
    if (!text || (file.name == "config.json" && model.config().stored_dtype.value_or(weights) != weights)) continue;
    writer.WriteText(std::string(file.name), text->text);
  }
  const GgufFile* gguf = source.gguf();
  if (!gguf) return;
  const GgufHeader& header = gguf->header();
  if (source.HasTokenizer() && !header.Find("tokenizer.huggingface.json")) {
    writer.WriteText("tokenizer.json", WriteTokenizerJson(ReadGgufTokenizer(header)));
  }
  const auto licence = header.Text("general.license");
  if (licence && !header.Find("stablelm.readme")) {
    const auto line = [](std::string_view text) { return std::string(text.substr(0, text.find('\n'))); };
    std::string readme = "---\nlicense: " + line(*licence) + "\n---\n";
    if (const auto name = header.Text("general.name")) readme += "# " + line(*name) + "\n";
    if (const auto url = header.Text("general.source.url")) readme += "Source: " + line(*url) + "\n";
    writer.WriteText("README.md", readme);
  }
}

}  // namespace stablelm
