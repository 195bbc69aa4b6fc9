// What a model becomes in another kind of file with the same numbers: the types of its tensors, the keys of a GGUF
// file, the small files of a folder.
#pragma once

#include <optional>
#include <vector>

#include "base/dtype.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "checkpoint/huggingface/writer.h"
#include "checkpoint/model_folder.h"

namespace stablelm {

// [table]. Matrices get the type that is wanted, else they keep theirs (fp64 becomes fp32). Norms and biases become
// fp32: llama.cpp adds and multiplies with them in fp32 only.
std::vector<DType> TypesInGguf(const ModelFolder& model, std::optional<DType> wanted);

// [table]. As above, but quantized matrices become fp32. Norms and biases get back the type that they had before a file
// was made of them (or else that of the matrices) where that costs no bit.
std::vector<DType> TypesInFolder(const ModelFolder& model, std::optional<DType> wanted);

// The keys of a GGUF file of these types. What a quantized file says of its types and how they came about holds for a
// copy, and not for decoded weights.
GgufMetadata MetadataInGguf(const ModelFolder& model, const std::vector<DType>& types);

// The carried files, tokenizer.json and README.md, made from a GGUF file's keys where it carries none. `weights` is the
// type that config.json names.
void WriteSmallFiles(const ModelFolder& model, DType weights, FolderWriter& writer);

}  // namespace stablelm
