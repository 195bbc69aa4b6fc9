// Token ids that a user gave: read from JSON, and checked before any work is done with them.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/describe/config.h"

namespace stablelm {

// `where` names the list in errors: "--ids", "in.json: list 3". Throws Error: an empty list, an id that the model does
// not have (named with its place, counted from 0), more ids than the model's context.
void CheckTokenIds(std::span<const int32_t> ids, const ModelConfig& config, const std::string& where);

// The ids of a JSON list of whole numbers, whatever they are. Throws Error that names the index.
std::vector<int32_t> IdsFromJson(const nlohmann::json& list, const std::string& where);

}  // namespace stablelm
