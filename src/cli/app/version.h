// Describes this build: version, commit, compiler, instruction sets, Unicode, optional parts.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace stablelm {

nlohmann::ordered_json VersionInfo();
std::string VersionText();  // the same as several lines of text

}  // namespace stablelm
