// The tokenizer that a command's options name.
#pragma once

#include <string>

#include "cli/output.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

// From a tokenizer.json (`tokenizer_file`), or from the folder or hub id `model`, whose config.json, where there is
// one, says how many ids the model knows. The folder needs no weights. UsageError when both or none are given, Error
// when there is no tokenizer or it cannot be read. Prints the tokenizer's warnings.
Tokenizer LoadTokenizer(const std::string& model, const std::string& tokenizer_file, Output& out);

}  // namespace stablelm
