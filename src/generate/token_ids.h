// Checks token ids that a user gave before any work is done with them.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "checkpoint/describe/config.h"

namespace stablelm {

// `where` names the list in errors: "--ids", "in.json: list 3". Throws Error: an empty list, an id that the model does
// not have (named with its place, counted from 0), more ids than the model's context.
void CheckTokenIds(std::span<const int32_t> ids, const ModelConfig& config, const std::string& where);

}  // namespace stablelm
