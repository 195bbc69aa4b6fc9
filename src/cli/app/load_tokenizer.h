// The tokenizer that a command's options name.
#pragma once

#include <string>

#include "checkpoint/model_source.h"
#include "cli/app/output.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

// From a tokenizer.json (`tokenizer_file`), or from `model` as ModelSource::Open takes it, whose configuration, where
// there is one, says how many ids the model knows. No weights are needed. UsageError when both or none are given, Error
// when there is no tokenizer or it cannot be read. Prints the tokenizer's warnings.
Tokenizer LoadTokenizer(const std::string& model, const std::string& tokenizer_file, Output& out);
Tokenizer LoadTokenizer(const ModelSource& source, Output& out);

}  // namespace stablelm
