// The folder of prepared data that a command looks at, and the tokenizer that made it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cli/app/output.h"
#include "dataset/manifest.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

// The tokenizer of `model` (-m), or without one the one that the run recorded. Throws Error when it is not the one that
// the data were prepared with, or cannot be found.
Tokenizer TokenizerOfPrepared(const std::filesystem::path& folder, const Manifest& manifest, const std::string& model,
                              Output& out);

}  // namespace stablelm
