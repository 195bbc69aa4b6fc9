// Conversion between Hugging Face folders and GGUF files: tensor types, GGUF metadata, and a folder's small files.
#pragma once

#include <optional>
#include <vector>

#include "base/dtype.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "checkpoint/huggingface/writer.h"
#include "checkpoint/model_folder.h"

namespace stablelm {

// [table]. Matrices get the type `wanted`, or keep theirs (fp64 becomes fp32). Norms and biases become fp32, the only
// type in which llama.cpp adds and multiplies them.
std::vector<DType> TypesInGguf(const ModelFolder& model, std::optional<DType> wanted);

// [table]. Matrices as above, but quantized ones become fp32. Norms and biases get the type `wanted`. Without it, those
// of a folder keep their type (fp64 becomes fp32); those of a GGUF file get their original type (if unknown, that of
// the matrices) if this is exact, otherwise fp32.
std::vector<DType> TypesInFolder(const ModelFolder& model, std::optional<DType> wanted);

// Metadata of a GGUF file with these tensor types. A copy of a quantized file keeps the keys about its quantization; a
// file with decoded weights drops them. `warnings`: as for ReadCarried.
GgufMetadata MetadataInGguf(const ModelFolder& model, const std::vector<DType>& types,
                            std::vector<std::string>* warnings = nullptr);

// Writes the small files of CarriedFiles(). If a GGUF file does not store tokenizer.json or README.md, creates them
// from its keys. `weights` is the type in config.json. `warnings`: as for ReadCarried.
void WriteSmallFiles(const ModelFolder& model, DType weights, FolderWriter& writer,
                     std::vector<std::string>* warnings = nullptr);

}  // namespace stablelm
