// Which tokenizer prepared the data: training refuses data of another one.
#pragma once

#include <string>

#include "tokenizer/tokenizer.h"

namespace stablelm {

// SHA-256 of what decides the ids of a text, the same for a tokenizer.json and for the GGUF file that embeds it:
// number, spelling and kind of every token that has a text, normalization, and the merges.
std::string TokenizerHash(const Tokenizer& tokenizer);

}  // namespace stablelm
