// What this program is: version, commit, compiler, instruction sets, Unicode, optional parts.
#pragma once

#include <string>

#include "base/json_value.h"

namespace stablelm {

JsonValue VersionInfo();
std::string VersionText();  // the same for people, several lines

}  // namespace stablelm
