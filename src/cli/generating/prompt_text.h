// Shows a prompt to people: its text, with a colour per role and control tokens in reverse video.
#pragma once

#include <string>

#include "prompt/prompt_builder.h"

namespace stablelm {

// The unchanged bytes of one part of the prompt.
std::string PartBytes(const Prompt& prompt, const PromptPart& part, const Tokenizer& tokenizer);

// `text` in the colour of the part's role; unchanged when `color` is false.
std::string Painted(const PromptPart& part, const std::string& text, bool color);

// The whole text, with control characters made visible (cli/app/visible_text.h).
std::string PromptText(const Prompt& prompt, const Tokenizer& tokenizer, bool color);

}  // namespace stablelm
