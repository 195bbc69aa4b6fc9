// Metadata and tensor list of a GGUF file made from a model: configuration and tokenizer as llama.cpp reads them, the
// model's small files, origin and licence.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "checkpoint/model_folder.h"

namespace stablelm {

// Prefix of the keys of `quantize --check` (eval/quality.h).
inline constexpr std::string_view kQualityKeys = "stablelm.check.";

// For a folder: the keys of gguf_keys.h and gguf_tokenizer.h, the small files, "general.name", "general.license" (from
// the front matter of README.md), "general.source.url" and "general.source.huggingface.repository" (from a hub id). For
// a GGUF file: its own keys. Excludes keys that describe one file's tensors (file type, quantization version,
// alignment, splitting, results of a quality check). Throws Error if the tokenizer cannot be read or does not fit the
// model. `warnings`: as for ReadCarried.
GgufMetadata GgufMetadataOf(const ModelFolder& model, std::vector<std::string>* warnings = nullptr);

// The text of a small file that goes with the model; nullopt if there is none. One that is not needed and cannot be
// read (a link without its file, a folder, a generation_config.json that is not JSON) is left aside with a warning.
std::optional<ModelSource::Text> ReadCarried(const ModelSource& source, const CarriedFile& file,
                                             std::vector<std::string>* warnings);

// The tensor list of a GGUF file of the model. `types` is [table].
std::vector<GgufTensorEntry> GgufTensors(const ModelFolder& model, const std::vector<DType>& types);

// llama.cpp's "general.file_type" for files whose matrices all have the float type `type`.
uint32_t GgufFileTypeOf(DType type);

// The licence in the front matter of a README.md ("license: cc-by-sa-4.0" between two "---"); empty if there is none.
std::string LicenceOfReadme(std::string_view readme);
// The README.md with its licence in the front matter replaced or added.
std::string ReadmeWithLicence(std::string_view readme, std::string_view licence);
// Sets the licence in "general.license" and in the README.md that the metadata stores, if any. A folder made from the
// file gets this licence.
void SetLicence(std::string_view licence, GgufMetadata& metadata);

}  // namespace stablelm
