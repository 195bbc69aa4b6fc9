// Loads the tokenizer that a command's options name.
#pragma once

#include <string>

#include "checkpoint/model_source.h"
#include "cli/app/output.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

// Reads a tokenizer.json (`tokenizer_file`), or the tokenizer of `model`, which ModelSource::Open opens. The model's
// configuration, if there is one, gives the number of ids. Needs no weights. Throws UsageError when both or neither are
// given, Error when there is no tokenizer or it cannot be read. Prints the tokenizer's warnings.
// Whether a text names a model: a path that exists, a .gguf file, or a hub id in the Hugging Face cache. For hints
// only; whether a text is the model is never guessed.
bool NamesModel(const std::string& text);

// Throws UsageError for a first argument of `command` that is text rather than a model's name: a word without a slash
// that is no file, "Hi". What is wrong with a name shows when the model is opened.
void RequireModelsName(const std::string& word, const std::string& command);

// `text` is the command's text argument: a hint when it names a model.
Tokenizer LoadTokenizer(const std::string& model, const std::string& tokenizer_file, Output& out,
                        const std::string& text = {});
Tokenizer LoadTokenizer(const ModelSource& source, Output& out);

}  // namespace stablelm
