// A prompt as people read it: its text, each role in its colour, control tokens reversed.
#pragma once

#include <string>

#include "prompt/prompt_builder.h"

namespace stablelm {

// The bytes of one part of the prompt, as they are.
std::string PartBytes(const Prompt& prompt, const PromptPart& part, const Tokenizer& tokenizer);

// `text` in the colour of the part's role; as it is without colour.
std::string Painted(const PromptPart& part, const std::string& text, bool color);

// The whole text, control characters made visible (cli/terminal/visible_text.h).
std::string PromptText(const Prompt& prompt, const Tokenizer& tokenizer, bool color);

}  // namespace stablelm
