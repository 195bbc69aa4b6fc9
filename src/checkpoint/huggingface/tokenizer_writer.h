// Writes a tokenizer.json, for tokenizers stored as lists in a GGUF file.
#pragma once

#include <string>

#include "tokenizer/tokenizer_json.h"

namespace stablelm {

// The text of a tokenizer.json that ParseTokenizerJson and huggingface/tokenizers read back as the same tokenizer.
std::string WriteTokenizerJson(const TokenizerSpec& spec);

}  // namespace stablelm
