// The keys and tensors of a GGUF file that is made from a model: its shape and tokenizer as llama.cpp reads them, its
// small files whole, and who made it under which licence.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/gguf/gguf_writer.h"
#include "checkpoint/model_folder.h"

namespace stablelm {

// What the keys of `quantize --check` begin with (eval/quality.h).
inline constexpr std::string_view kQualityKeys = "stablelm.check.";

// Of a folder: the keys of gguf_keys.h and gguf_tokenizer.h, the carried files, "general.name", "general.license" (from
// the front matter of README.md), "general.source.url" and "general.source.huggingface.repository" (of a hub id). Of a
// GGUF file: its own keys. In both cases without what belongs to one file's tensors (file type, quantization version,
// alignment, what a check of these weights said). Throws Error when the tokenizer cannot be read or does not fit the
// model.
GgufMetadata GgufMetadataOf(const ModelFolder& model);

// The tensors of a GGUF file of the model. `types` [table]
std::vector<GgufTensorEntry> GgufTensors(const ModelFolder& model, const std::vector<DType>& types);

// "general.file_type" of llama.cpp for files whose matrices are all of a type of floats.
uint32_t GgufFileTypeOf(DType type);

// "license: cc-by-sa-4.0" between the two "---" at the beginning of a README.md; empty when there is none.
std::string LicenceOfReadme(std::string_view readme);
// The same text with another licence, in a line between these two.
std::string ReadmeWithLicence(std::string_view readme, std::string_view licence);
// "general.license", and the README.md that the metadata carries along, if any: what a folder made of the file says.
void SetLicence(std::string_view licence, GgufMetadata& metadata);

}  // namespace stablelm
