// Describes this build: version, commit, compiler, instruction sets, Unicode, optional parts.
#pragma once

#include <string>

#include "base/json_value.h"

namespace stablelm {

JsonValue VersionInfo();
std::string VersionText();  // the same as several lines of text

}  // namespace stablelm
