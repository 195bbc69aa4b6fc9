// Finds GGUF files by what they hold, whatever their names.
#pragma once

#include <filesystem>
#include <optional>

namespace stablelm {

// Whether the file begins as GGUF does, or as one of the kinds before it (OldGgmlKind), which GgufFile refuses by name.
// False for what is no file or cannot be read.
bool HasGgufMagic(const std::filesystem::path& file);

// The GGUF file of the model in a folder (of a split model its first part): the only one, or the only one that is a
// model and not an importance matrix, an adapter, a vocabulary or a later part. Files that end in .gguf are looked at,
// and in a folder that has neither these nor a config.json all others. nullopt: there is none. Throws an Error that
// names the models if there are several, or the files if none is a model; in a folder with a config.json, whose weights
// may come, it does so only if they are `needed`.
std::optional<std::filesystem::path> FindGgufModel(const std::filesystem::path& folder, bool needed = false);

}  // namespace stablelm
