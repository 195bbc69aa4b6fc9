// What this program is: version, commit, compiler, instruction sets, Unicode, optional parts.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace stablelm {

nlohmann::ordered_json VersionInfo();
std::string VersionText();  // the same for people, several lines

}  // namespace stablelm
