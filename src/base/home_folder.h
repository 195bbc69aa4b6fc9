// The user's home folder, for paths that no shell has seen.
#pragma once

#include <string>

namespace stablelm {

// HOME, else what the system knows of the user; empty if it knows nothing.
std::string HomeFolder();
// Replaces "~" or "~user" at the beginning by the home folder, as a shell does; unchanged if that is not known.
std::string ExpandHome(const std::string& path);

}  // namespace stablelm
