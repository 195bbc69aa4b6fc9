// The user's home folder in paths that no shell has seen.
#pragma once

#include <string>

namespace stablelm {

// Replaces "~" and "~/" at the beginning by the home folder, as a shell does.
std::string ExpandHome(const std::string& path);

}  // namespace stablelm
