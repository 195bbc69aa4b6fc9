// Reads the sequences for `stablelm score`: lists of ids, a text, or lines of either.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/app/model_loading.h"

namespace stablelm {

struct ScoreInput {
  std::string ids_file;             // --ids-file: a JSON list of lists of ids, one list, or lines of ids
  std::optional<std::string> text;  // TEXT; "-" is standard input
  std::string text_file;            // --file: one text
  std::string lines_file;           // --jsonl: one JSON object per line, with "text" or "ids"; skips blank lines
  bool replace_invalid = false;     // --invalid-utf8 replace
  std::optional<int64_t> window;    // --context: longer sequences are cut into pieces of so many tokens
};

// Reads, tokenizes and checks the input before the model is loaded: at least one sequence, none empty or longer than
// the context, every id in the vocabulary. Throws UsageError unless exactly one input is given, and Error that names
// the line or list and the index in it.
std::vector<std::vector<int32_t>> ReadScoreInput(const ScoreInput& input, ModelOfCommand& model);

}  // namespace stablelm
