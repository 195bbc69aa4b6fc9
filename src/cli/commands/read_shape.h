// The value of --shape: a model without weights.
#pragma once

#include <string>

#include "checkpoint/describe/config.h"

namespace stablelm {

// "3b", "7b", a config.json, or a folder with one. Throws Error for anything else.
ModelConfig ReadShape(const std::string& shape);

}  // namespace stablelm
