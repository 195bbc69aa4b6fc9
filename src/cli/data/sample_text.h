// Shows samples of prepared data to people: the text, with the targets in colour.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "tokenizer/tokenizer.h"

namespace stablelm {

// The whole text, control characters made visible. Targets are green and control tokens reversed; without colour the
// targets stand between the signs U+27E6 and U+27E7.
std::string SampleText(std::span<const int32_t> ids, std::span<const uint8_t> targets, const Tokenizer& tokenizer,
                       bool color);

}  // namespace stablelm
