// Prepared data back to conversations: what the model is taught, in OpenAI's format.
#pragma once

#include <filesystem>
#include <string>

#include "base/function_ref.h"
#include "dataset/manifest.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

// Calls `line` with {"messages": [{"role", "content", "weight"}]}, or {"text": ...} for a document without roles, as
// one line of JSON without its line end, for each conversation of the split, by source, file and row. Pieces of one
// conversation are joined again; `weight` is 0 for answers that are not learned and absent otherwise; copies of a
// weight above 1 are left out. Prepared again as kind messages (or text) with the same template, sequence length and
// loss assistant (or all), they give the same samples, but for conversations that had lost a part. The roles are read
// from control tokens: throws Error for templates that mark them by text.
void ExportConversations(const std::filesystem::path& folder, const std::string& split, const Manifest& manifest,
                         const Tokenizer& tokenizer, FunctionRef<void(const std::string&)> line);

}  // namespace stablelm
