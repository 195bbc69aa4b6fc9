// Validates token ids from a user.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "checkpoint/describe/config.h"

namespace stablelm {

// `where` names the list in errors: "--ids", "in.json: list 3". Throws Error for an empty list, an id that the model
// does not have (named with its index, from 0), and more ids than the model's context.
void CheckTokenIds(std::span<const int32_t> ids, const ModelConfig& config, const std::string& where);

}  // namespace stablelm
