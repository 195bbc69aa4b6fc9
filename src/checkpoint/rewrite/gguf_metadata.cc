#include "checkpoint/rewrite/gguf_metadata.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strict_json.h"
#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/gguf/gguf_parts.h"
#include "checkpoint/gguf/gguf_tokenizer.h"
#include "checkpoint/huggingface/hub_cache.h"

namespace stablelm {
namespace {

std::string Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\"'";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(kSpace) - first + 1));
}

constexpr std::string_view kLicenceKey = "license:";

// The licence line in the front matter of a README.md; empty if there is none.
std::string_view LicenceLine(std::string_view readme) {
  bool inside = false;
  for (size_t begin = 0; begin < readme.size();) {
    const size_t end = std::min(readme.find('\n', begin), readme.size());
    const std::string_view line = readme.substr(begin, end - begin);
    begin = end + 1;
    if (line.starts_with("---")) {
      if (inside) break;
      inside = true;
    } else if (!inside) {
      break;
    } else if (line.starts_with(kLicenceKey)) {
      return line;
    }
  }
  return {};
}

// Common type of the norms and biases in the source model; GGUF always stores them as F32.
std::optional<DType> CommonVectorType(const ModelFolder& model) {
  std::optional<DType> type;
  for (size_t i = 0; i < model.table().size(); ++i) {
    if (model.table()[i].IsMatrix()) continue;
    const DType found = *model.TensorOf(i).dtype;
    if (type && *type != found) return std::nullopt;
    type = found;
  }
  return type;
}

GgufMetadata OfFolder(const ModelFolder& model, std::vector<std::string>* warnings) {
  GgufMetadata metadata;
  metadata.SetText("general.type", "model");
  SetConfigKeys(model.config(), metadata);
  const ModelSource& source = model.source();
  const std::optional<HubId> id = source.path() == source.name() ? std::nullopt : ParseHubId(source.name());
  std::error_code ignored;
  const std::string folder = std::filesystem::weakly_canonical(source.path(), ignored).filename().string();
  metadata.SetText("general.name", id ? id->name : folder);
  if (id) {
    metadata.SetText("general.source.url", "https://huggingface.co/" + id->org + "/" + id->name);
    metadata.SetText("general.source.huggingface.repository", id->org + "/" + id->name);
  }
  for (const CarriedFile& file : CarriedFiles()) {
    const auto text = ReadCarried(source, file, warnings);
    if (!text) continue;
    metadata.SetText(file.key, text->text);
    if (file.name == "README.md") {
      if (const std::string licence = LicenceOfReadme(text->text); !licence.empty()) {
        metadata.SetText("general.license", licence);
      }
    }
    if (file.name == "tokenizer.json") {
      SetTokenizerKeys(ParseTokenizerJson(text->text, text->where), model.config().vocab_size, model.config().bos_id,
                       model.config().eos_ids[0], metadata);
    }
  }
  if (!source.HasTokenizer()) {
    metadata.SetText("tokenizer.ggml.model", "no_vocab");
    metadata.Set<uint32_t>("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(model.config().bos_id));
    metadata.Set<uint32_t>("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(model.config().eos_ids[0]));
  }
  if (const auto type = CommonVectorType(model)) metadata.SetText("stablelm.vector_type", NameOf(*type));
  return metadata;
}

}  // namespace

std::optional<ModelSource::Text> ReadCarried(const ModelSource& source, const CarriedFile& file,
                                             std::vector<std::string>* warnings) {
  try {
    std::optional<ModelSource::Text> text = source.ReadText(file.name, kMaxCarriedBytes);
    // What no reader of the result could read is not written.
    if (text && (file.name == "stablelm_chat.json" || file.name == "generation_config.json")) {
      RequireStrictJson(text->text, text->where);
    }
    return text;
  } catch (const Error& error) {
    if (file.needed) throw;
    if (warnings) warnings->push_back(error.Line() + "; left aside");
    return std::nullopt;
  }
}

GgufMetadata GgufMetadataOf(const ModelFolder& model, std::vector<std::string>* warnings) {
  const GgufFile* gguf = model.source().gguf();
  if (!gguf) return OfFolder(model, warnings);
  GgufMetadata metadata;
  for (const GgufEntry& entry : gguf->header().entries) {
    if (!entry.key.starts_with(kQualityKeys) && !IsSplitKey(entry.key)) metadata.Copy(entry);
  }
  for (const char* key : {"general.file_type", "general.quantization_version", "general.alignment"}) {
    metadata.Remove(key);
  }
  return metadata;
}

std::vector<GgufTensorEntry> GgufTensors(const ModelFolder& model, const std::vector<DType>& types) {
  std::vector<GgufTensorEntry> tensors;
  for (size_t i = 0; i < types.size(); ++i) {
    tensors.push_back({GgufTensorName(model.table()[i]), types[i], model.table()[i].shape});
  }
  return tensors;
}

uint32_t GgufFileTypeOf(DType type) {
  switch (type) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kBF16:
      return 32;
    default:
      STABLELM_CHECK(false);
  }
}

std::string LicenceOfReadme(std::string_view readme) {
  const std::string_view line = LicenceLine(readme);
  return line.empty() ? std::string() : Trimmed(line.substr(kLicenceKey.size()));
}

std::string ReadmeWithLicence(std::string_view readme, std::string_view licence) {
  const std::string line = std::string(kLicenceKey) + " " + std::string(licence);
  if (const std::string_view old = LicenceLine(readme); !old.empty()) {
    const auto begin = static_cast<size_t>(old.data() - readme.data());
    const size_t length = old.ends_with('\r') ? old.size() - 1 : old.size();
    return std::string(readme).replace(begin, length, line);
  }
  const size_t first_end = readme.find('\n');
  if (!readme.starts_with("---") || first_end == std::string_view::npos) {
    return "---\n" + line + "\n---\n" + std::string(readme);
  }
  return std::string(readme).insert(first_end + 1, line + "\n");
}

void SetLicence(std::string_view licence, GgufMetadata& metadata) {
  metadata.SetText("general.license", licence);
  if (const auto readme = metadata.Text("stablelm.readme")) {
    metadata.SetText("stablelm.readme", ReadmeWithLicence(*readme, licence));
  }
}

}  // namespace stablelm
