// The parts of a GGUF model that is split over several files, as llama.cpp's gguf-split writes them.
//
// The parts are named NAME-00001-of-00003.gguf, ... and lie in one folder. The first has all keys of the model; each
// has its number from 0 ("split.no"), the number of parts ("split.count") and of the tensors of all parts
// ("split.tensors.count").
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/gguf/gguf.h"

namespace stablelm {

// Opens a GGUF file; of a split model its first part, and with it all others, in their order. Throws Error: a later
// part (the hint names the first), parts that are missing (named), parts of different models, tensors missing.
std::vector<GgufFile> OpenGgufParts(const std::filesystem::path& file);

// Whether the file is a part of a split model other than the first.
bool IsLaterPart(const GgufHeader& header);

// Whether a key describes the splitting: a model in one file has none of these.
bool IsSplitKey(std::string_view key);

}  // namespace stablelm
